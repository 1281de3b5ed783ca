"""Finding a lab: by its parameters, by its name, or from the folder of a run.

Nothing is started here. `open_lab` is what a notebook calls.
"""

import os
from importlib import import_module
from pathlib import Path
from threading import Thread

from labkit import clouds
from labkit.errors import InputError, StateError
from labkit.folder import LabFolder, known_labs
from labkit.lab import Lab
from labkit.params import LoadedParams, Params, load_params
from labkit.progress import in_notebook, show_now


def open_lab(**values: object) -> Lab:
    """Open a lab by name, or describe a new one.

    Args:
        values: parameters as in `params/*.yaml`; what is not given comes from the lab itself,
            from `LABKIT_*`, or from the defaults.

    Raises:
        InputError: a value does not fit.
        StateError: the lab is up with other values.

    Example:
        >>> lab = open_lab(lab_name="demo", west_region="sfo3", east_region="syd1")
    """
    given = {key: str(value) for key, value in values.items() if value is not None}
    if in_notebook():
        # Pictures come later in a notebook; what draws them is imported while it waits.
        Thread(target=import_module, args=("labkit.picture",), daemon=True).start()
    lab = describe_lab(load_params(overrides=given, environ=os.environ))
    if in_notebook():
        show_now(lab.cost())
    return lab


def describe_lab(loaded: LoadedParams) -> Lab:
    """The lab that parameters describe; what they leave open comes from the lab's last ones.

    Raises:
        StateError: the lab has clusters that were made with other values.
    """
    known = LabFolder.of(loaded.params.lab_name).read_params()
    if known is None:
        return Lab.create(loaded.params)
    values = loaded.params.model_dump()
    kept = known.model_dump()
    said = {key for key, origin in loaded.origins.items() if origin != "default"}
    return Lab.create(Params(**{key: values[key] if key in said else kept[key] for key in values}))


def find_lab(lab_name: str | None) -> Lab:
    """A lab that exists, by name; without a name the only one there is.

    Raises:
        StateError: there is none.
        InputError: there are several.
    """
    labs = known_labs()
    if lab_name is None and len(labs) > 1:
        raise InputError(
            "There are several labs",
            problems=[f"--lab-name {name}" for name in labs],
            fix="say which one you mean",
        )
    name = lab_name or (labs[0] if labs else "demo")
    params = LabFolder.of(name).read_params()
    if params is None:
        raise StateError(
            f"There is no lab {name}",
            seen=f"labs: {', '.join(labs) or 'none'}",
            fix="`labkit up` makes one",
        )
    return Lab.of(params)


def lab_of_run(folder: Path) -> Lab:
    """The lab of a headless run, from its run folder; its own folder may be gone.

    Args:
        folder: the run folder.

    Raises:
        InputError: it is no run folder.
        StateError: the lab has been made anew since.
    """
    try:
        params = Params.model_validate_json((folder / "params.json").read_text(), strict=True)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder} is no run folder",
            problems=[f"params.json: {getattr(error, 'strerror', None) or error}"],
            fix="give the folder that `labkit run` has printed, as runs/20261123T012345Z-sfo3-syd1",
        ) from error
    lab_folder = LabFolder.of(params.lab_name)
    clouds.restore_record(lab_folder.root, folder)
    if lab_folder.read_params() is None:
        lab_folder.write_params(params)
    return Lab.of(params)
