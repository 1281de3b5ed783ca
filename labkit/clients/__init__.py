"""One adapter for each foreign system; each translates foreign errors at one place."""
