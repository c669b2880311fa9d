"""What a person asks a model's editor for: which facts, in which model, and what else is at hand."""

from tasks.settings.edit_request import EditRequest
from tasks.settings.schema import settings


@settings
class EditingRequest:
    """Facts, files and models by their names; nothing is read yet."""

    model: str
    """The model whose facts are edited: a model folder (safetensors) or a hub name."""
    forget: tuple[str, ...] = ()
    """Files or folders with text whose facts are to be rewritten; each gets another object, as the settings
    `proposals` say."""
    edits: tuple[EditRequest, ...] = ()
    """The edits themselves."""
    edit_files: tuple[str, ...] = ()
    """Files of edits: CounterFact's schema, its short one, zsRE's, or ours, as JSON or JSON lines."""
    facts: tuple[str, ...] = ()
    """Files of other facts that the model knows, in the same schemas: the layer is traced on them. Without them, on
    the facts that are edited."""
    text: tuple[str, ...] = ()
    """Files or folders of ordinary text that the model is at home in: second moments and perplexity are measured on
    it. Without it, on the embedded world's."""
    patches: tuple[str, ...] = ()
    """Patches of this model that the edits come on top of, in their order: folders or digests."""
    benchmark_data: str | None = None
    """A folder with local files of benchmarks."""
    erase: bool = False
    """Whether every edited fact gets an object that says nothing, in place of its target."""
    each: bool = False
    """Whether every edit is made and judged alone, as published evaluations do; no model is handed over then."""
    force: bool = False
    """Whether an edit is made that the model did not know the fact of, or that is out of bounds."""
