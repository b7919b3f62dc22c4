import subprocess
import sys

import pytest
from test_serving import CHATML

from epigone.backends.checkpoint import Checkpoint
from epigone.commands.chat import run_chat
from epigone.errors import SpecError
from epigone.records import Message, Prompt, SamplingParams
from small_checkpoint import small_base

OPTIONS = {"max_tokens": 8, "temperature": 0.0, "seed": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return small_base(tmp_path_factory.mktemp("chat") / "small", template=CHATML)


def answers(folder, *asked):
    """Turn by turn, by the backend."""
    model, messages, found = Checkpoint(str(folder), batch_size=1), [], []
    for text in asked:
        messages.append(Message("user", text))
        found += model.generate([Prompt("p", messages=tuple(messages))], SamplingParams(8))
        messages.append(Message("assistant", found[-1].text))
    return [completion.text for completion in found]


def test_once_and_two_side_by_side(folder, capsys):
    run_chat(folder, None, once="Hello", **OPTIONS)
    (text,) = answers(folder, "Hello")
    assert capsys.readouterr().out == f"{text}\n"
    run_chat(folder, folder, once="Hello", **OPTIONS)
    assert capsys.readouterr().out == f"{folder}: {text}\n" * 2
    with pytest.raises(SpecError, match="longer than 256 tokens"):
        run_chat(folder, None, once="Hello " * 60, **OPTIONS)


def test_lines_of_standard_input_are_turns(folder):
    command = [sys.executable, "-m", "epigone", "chat", str(folder), "--max-tokens", "8"]
    done = subprocess.run(command, input="Hello\n\nAnd then?\n", capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "".join(f"{text}\n" for text in answers(folder, "Hello", "And then?"))
