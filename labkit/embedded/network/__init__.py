"""The virtual network: addresses, and the wide-area link between the regions."""
