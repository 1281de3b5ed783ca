"""Where a learner stands: a small file in the lab's folder, and who else may see it.

Steps and checks note what happened; nothing a learner does ever fails because of it. Sharing is
off until the learner turns it on. Deliberately absent: anything about other learners; that is
`labkit.board`.
"""

from labkit.learner.joining import join, leave, send_now, share
from labkit.learner.keeping import (
    note_checks,
    note_exercises,
    note_reset,
    note_solved,
    note_step,
    read_record,
    set_name,
    step_of,
)
from labkit.learner.record import SCHEMA, ChapterRecord, LearnerRecord, clean_name
from labkit.learner.sharing import Sharing, read_sharing

__all__ = [
    "SCHEMA",
    "ChapterRecord",
    "LearnerRecord",
    "Sharing",
    "clean_name",
    "join",
    "leave",
    "note_checks",
    "note_exercises",
    "note_reset",
    "note_solved",
    "note_step",
    "read_record",
    "read_sharing",
    "send_now",
    "set_name",
    "share",
    "step_of",
]
