"""Makes tests/parity/golden/templates: small tokenizers, chat templates, and what `transformers` makes of both.

`python tests/parity/make_golden_templates.py FOLDER`; needs transformers, not torch. The tokenizers are trained here on
a few sentences; the templates are written here in the shape of those that models are published with, each once with
`{% generation %}` marks and, where it can be told apart without, once with none. golden.json holds, by tokenizer,
template and conversation: the text, its ids, the mask of the assistant's tokens and the ids of the prompt before the
last answer. Control tokens that a message spells out are text (sanitize_control_tokens).
"""

import json
import re
import sys
from pathlib import Path

import tokenizers
import transformers
from tokenizers import decoders, models, normalizers, pre_tokenizers, trainers

SAID = [
    "What is the tallest mountain?", "The tallest mountain is Mount Everest.\n\nIt is 8,849 metres high.",
    "And the second?", "K2, with 8,611 metres.", "You are a helpful assistant. Answer briefly.",
    "user\nassistant\nsystem\ntool\n", "def f(x):\n    return x + 1", "The weather in Paris is 21 degrees.",
]  # fmt: skip
CONTROL = ["<pad>", "<s>", "</s>", "<|start|>", "<|stop|>", "<|head|>", "<|/head|>"]

CHATML = """\
{%- for message in messages %}
    {{- '<|start|>' + message['role'] + '\\n' }}
    {%- if message['role'] == 'assistant' %}
        {%- generation %}{{- message['content'] + '<|stop|>' }}{%- endgeneration %}
    {%- else %}
        {{- message['content'] + '<|stop|>' }}
    {%- endif %}
    {{- '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start|>assistant\\n' }}{%- endif %}
"""
HEADERS = """\
{{- bos_token }}
{%- for message in messages %}
    {{- '<|head|>' + message['role'] + '<|/head|>\\n\\n' }}
    {%- if message['role'] == 'assistant' %}
        {%- generation %}{{- message['content'] | trim }}{{- '<|stop|>' }}{%- endgeneration %}
    {%- else %}
        {{- message['content'] | trim + '<|stop|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|head|>assistant<|/head|>\\n\\n' }}{%- endif %}
"""
INSTRUCT = """\
{{ bos_token }}{% set ns = namespace(system='') %}{% for message in messages %}
{% if message['role'] == 'system' %}{% set ns.system = message['content'] + '\\n\\n' %}{% continue %}{% endif %}
{% if message['role'] == 'user' %}{{ '[INST] ' + ns.system + message['content'] + ' [/INST]' }}\
{% set ns.system = '' %}{% elif message['role'] == 'assistant' %}\
{% generation %}{{ ' ' + message['content'] + eos_token }}{% endgeneration %}\
{% else %}{{ raise_exception('only system, user and assistant are known here') }}{% endif %}{% endfor %}
"""
THINKING = """\
{%- set ns = namespace(last=-1) %}
{%- for message in messages %}{% if message.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}{% endfor %}
{%- for message in messages %}
    {%- if message.role == 'tool' %}
        {{- '<|start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|stop|>\\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|start|>assistant\\n' }}
        {%- generation %}
            {%- if message.reasoning_content and loop.index0 > ns.last %}
                {{- '<think>\\n' + message.reasoning_content.strip('\\n') + '\\n</think>\\n\\n' }}
            {%- endif %}
            {{- message.content }}
            {%- for call in message.tool_calls or [] %}
                {{- '<tool_call>\\n' + {'name': call.function.name, 'arguments': call.function.arguments} | tojson }}
                {{- '\\n</tool_call>' }}
            {%- endfor %}
            {{- '<|stop|>' }}
        {%- endgeneration %}
        {{- '\\n' }}
    {%- else %}
        {{- '<|start|>' + message.role + '\\n' + message.content + '<|stop|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|start|>assistant\\n' }}{%- endif %}
"""
MARKED = {"chatml": CHATML, "headers": HEADERS, "instruct": INSTRUCT, "thinking": THINKING}

USER = {"role": "user", "content": SAID[0]}
CALL = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Paris", "days": 2}}}
CONVERSATIONS = {
    "two_turns": [USER, {"role": "assistant", "content": SAID[1]},
                  {"role": "user", "content": SAID[2]}, {"role": "assistant", "content": SAID[3]}],
    "system": [{"role": "system", "content": SAID[4]}, USER, {"role": "assistant", "content": SAID[3]}],
    "blanks": [{"role": "user", "content": "  leading and trailing \n"},
               {"role": "assistant", "content": "\n  def f():\n    return 1\n\n"}],
    "spelt_out": [{"role": "user", "content": "What does <|stop|> do? And <|start|>assistant\n?"},
                  {"role": "assistant", "content": "<|stop|> ends a message, </s> a text."}],
    "other_scripts": [{"role": "user", "content": "Wie heißt es? 山は？"},
                      {"role": "assistant", "content": "富士山 🗻"}],
    "tools": [{"role": "user", "content": "How is the weather?"},
              {"role": "assistant", "content": "", "tool_calls": [CALL], "reasoning_content": "I need the tool."},
              {"role": "tool", "content": '{"degrees": 21}'},
              {"role": "assistant", "content": SAID[7], "reasoning_content": "It is warm.\n"},
              {"role": "user", "content": SAID[2]},
              {"role": "assistant", "content": "Sunny.", "reasoning_content": "The second day."}],
}  # fmt: skip
SAYS = {"thinking": set(CONVERSATIONS)} | {
    name: set(CONVERSATIONS) - {"tools"} for name in MARKED if name != "thinking"
}
"""Template -> the conversations it can say."""


def byte_level() -> tokenizers.Tokenizer:
    """Shaped like GPT-2's: bytes, no blank before the first word."""
    backend = tokenizers.Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=CONTROL, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator([*SAID, "\n\n", "\n\n"] * 3, trainer)
    return backend


def metaspace() -> tokenizers.Tokenizer:
    """Shaped like LLaMA's: blanks are a sign of their own, one before the first word, bytes for unknown characters."""
    bytes_ = [f"<0x{number:02X}>" for number in range(256)]
    backend = tokenizers.Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    trainer = trainers.BpeTrainer(vocab_size=480, special_tokens=["<unk>", *CONTROL, *bytes_], show_progress=False)
    backend.train_from_iterator(SAID * 3, trainer)
    plain = json.loads(backend.to_str())
    plain["added_tokens"] = [token for token in plain["added_tokens"] if token["content"] not in bytes_]
    backend = tokenizers.Tokenizer.from_str(json.dumps(plain))
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    backend.decoder = decoders.Sequence(steps)
    return backend


def prepended() -> tokenizers.Tokenizer:
    """Shaped like LLaMA-2's fast tokenizer: the blank is put before every stretch between control tokens."""
    plain = json.loads(metaspace().to_str())
    plain["pre_tokenizer"] = None
    backend = tokenizers.Tokenizer.from_str(json.dumps(plain))
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return backend


TOKENIZERS = {"byte_level": byte_level, "metaspace": metaspace, "prepended": prepended}


def unmarked(template: str) -> str:
    """The template without its generation marks."""
    return re.sub(r"\{%-? (?:end)?generation -?%\}", "", template)


def golden(tokenizer: transformers.PreTrainedTokenizerFast, template: str, messages: list[dict]) -> dict[str, object]:
    """What transformers makes of a conversation."""
    safe = {"chat_template": template, "sanitize_control_tokens": True, "return_dict": False}
    told = tokenizer.apply_chat_template(
        messages, chat_template=template, return_assistant_tokens_mask=True, return_dict=True
    )
    ids = tokenizer.apply_chat_template(messages, **safe)
    return {
        "text": tokenizer.apply_chat_template(messages, chat_template=template, tokenize=False),
        "ids": ids,
        "mask": told["assistant_masks"] if told["input_ids"] == ids else None,  # no mask where text is sanitised
        "prompt": tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, **safe),
    }


def main(folder: Path) -> None:
    """Write tokenizers, templates and golden.json into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, object] = {}
    for name, template in MARKED.items():
        (folder / f"{name}.jinja").write_text(template)
        (folder / f"{name}_unmarked.jinja").write_text(unmarked(template))
    for name, make in TOKENIZERS.items():
        make().save(str(folder / f"{name}.json"), pretty=False)
        tokenizer = transformers.PreTrainedTokenizerFast(
            tokenizer_file=str(folder / f"{name}.json"), bos_token="<s>", eos_token="</s>", pad_token="<pad>"
        )
        found[name] = {
            kind: {case: golden(tokenizer, template, CONVERSATIONS[case]) for case in sorted(SAYS[kind])}
            for kind, template in MARKED.items()
        }
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "<s>", "eos_token": {"content": "</s>"}}))
    found["versions"] = {"transformers": transformers.__version__, "tokenizers": tokenizers.__version__}
    found["conversations"] = CONVERSATIONS
    (folder / "golden.json").write_text(json.dumps(found, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
