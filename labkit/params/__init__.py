"""Parameters of a lab: `params/*.yaml`, `LABKIT_*` and flags become one frozen, strict model.

Precedence: flag > environment > file > default; the origin of each value is kept. Every problem
of the input is reported at once, with file and line. A secret is never a parameter.
"""

from labkit.params.loading import LoadedParams, load_params, problem_of
from labkit.params.model import Params, json_schema, to_papermill

__all__ = ["LoadedParams", "Params", "json_schema", "load_params", "problem_of", "to_papermill"]
