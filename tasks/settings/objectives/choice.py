"""How a schema shows the settings of an objective where `method` says which: one group for each method, under its name.

Nothing is checked here: which class a mapping becomes, the method decides, not whether it happens to fit another's
settings.
"""

from pkgutil import resolve_name
from typing import Annotated, Any, Union

from tasks.settings.objectives.table import OBJECTIVES


class AnyObjective:
    """Marks a field that takes the settings of every listed objective; they are loaded when a schema is asked for."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> dict[str, Any]:
        """Return pydantic's plan of the field: it takes anything as it is, and shows a choice of groups."""
        groups = [Annotated[resolve_name(listed.settings), _Titled(method)] for method, listed in OBJECTIVES.items()]
        shown = handler.generate_schema(Union[tuple(groups)])  # noqa: UP007 - of a list
        return {
            "type": "function-plain",
            "function": {"type": "no-info", "function": lambda value: value},
            "json_schema_input_schema": shown,
        }

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        """Return the groups, before them that nothing is given: a form begins with the first of several."""
        return {"anyOf": [{"type": "null", "title": "its defaults"}, *handler(core_schema)["anyOf"]]}


class _Titled:
    """Puts a settings class into a schema by another name than its own: two methods can share one, and forms show that
    of a class.
    """

    def __init__(self, title: str) -> None:
        self.title = title

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        return {**handler.resolve_ref_schema(handler(core_schema)), "title": self.title}
