"""Errors that a user can act on. Each message names the file, key or object, what was expected and what to do."""


class WorkbenchError(ValueError):
    """Base of all errors that the workbench raises for bad input."""


class DataError(WorkbenchError):
    """A data set, an image or an annotation is not what it should be."""


class RecipeError(WorkbenchError):
    """A recipe asks for something that does not exist or does not fit together."""


class RunError(WorkbenchError):
    """A run cannot be started, found, resumed or read."""


class WeightsError(WorkbenchError):
    """A file of weights cannot be read or does not fit the detector."""
