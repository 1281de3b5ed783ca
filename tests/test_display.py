from labkit.display import Step, Table


def test_columns_are_as_wide_as_their_widest_cell_and_lines_have_no_tail():
    table = Table.of([{"name": "west", "region": "sfo3"}, {"name": "e", "region": ""}])
    assert str(table) == "name   region\nwest   sfo3\ne"


def test_a_column_stays_straight_below_characters_of_double_width():
    rows = [{"learner": "王小明", "at": "01"}, {"learner": "Zoë", "at": "02"}]
    assert str(Table.of(rows)) == "learner   at\n王小明    01\nZoë       02"


def test_a_missing_cell_is_empty_and_none_is_shown_as_it_is():
    table = Table.of([{"a": 1, "b": None}, {"a": 2}])
    assert table.rows == (("1", "None"), ("2", ""))


def test_a_table_of_nothing_is_an_empty_text():
    assert str(Table.of([])) == ""
    assert "<table>" in Table.of([])._repr_html_()


def test_html_escapes_what_it_shows():
    table = Table.of([{"<b>": "<script>alert(1)</script>"}])
    assert "<script>" not in table._repr_html_()
    step = Step("<i>done</i>", by_hand=("cat <file> && echo",), notes=("a < b",), table=table)
    text = step._repr_html_()
    assert "<i>done" not in text
    assert "cat &lt;file&gt; &amp;&amp; echo" in text
    assert "a &lt; b" in text


def test_a_step_says_the_same_in_text_and_html():
    step = Step(
        "The clusters run.",
        by_hand=("kubectl get nodes", "kubectl get pods"),
        table=Table.of([{"context": "west"}]),
        notes=("Yours was not touched.",),
    )
    assert str(step) == (
        "The clusters run.\n\n$ kubectl get nodes\n$ kubectl get pods\n\ncontext\nwest\n\n"
        "Yours was not touched."
    )
    html = step._repr_html_()
    for part in ("The clusters run.", "$ kubectl get nodes", "west", "Yours was not touched."):
        assert part in html


def test_a_step_with_nothing_but_a_title_is_that_title():
    assert str(Step("Done.", table=Table.of([]))) == "Done."


def test_facts_are_not_part_of_what_is_shown():
    step = Step("Done.", facts={"token": "hidden-value"})
    assert "hidden-value" not in str(step) + repr(step) + step._repr_html_()
