"""Checkpoints on the model hub, by name: `hf://OWNER/NAME`, or `hf://OWNER/NAME@REVISION`.

In: such a name, or the path of something that is here already. Out: a path on this machine; files are fetched once into
the hub's own cache. Only weights, configuration and tokenizer are fetched: nothing that would have to be run, and no
pickles. A key, where a model asks for one, comes from the environment (HF_TOKEN).
Source: https://huggingface.co/docs/huggingface_hub/guides/download
"""

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, RepositoryNotFoundError

from epigone.errors import SpecError, WorkError

SCHEME = "hf://"
FILES = ("*.json", "*.safetensors", "*.jinja", "tokenizer.model", "*.gguf")


def here(path: str) -> Path:
    """Where a checkpoint lies. Raises SpecError for a name that is none, WorkError where it cannot be fetched."""
    if not path.startswith(SCHEME):
        return Path(path)
    name, _, revision = path.removeprefix(SCHEME).partition("@")
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=list(FILES)))
    except (HFValidationError, RepositoryNotFoundError) as error:
        raise SpecError(f"{path}: {_first_line(error)}; write hf://OWNER/NAME or hf://OWNER/NAME@REVISION") from error
    except LocalEntryNotFoundError as error:
        raise WorkError(
            f"{path} was not fetched before and the hub cannot be reached; fetch it where there is a network, and give "
            "its folder"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        raise WorkError(f"{path} cannot be fetched: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
