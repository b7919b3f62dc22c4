"""Who made a model, by its name: a judge that is the teacher, or of its family, favours its own.

In: names. Out: the maker, or "" where the name does not tell. Source: Zheng et al. 2023 (arXiv 2306.05685), section
3.3, on self-enhancement; Panickssery et al. 2024 (arXiv 2404.13076).
"""

import re

_MAKERS = {
    "OpenAI": r"gpt-?[345]|gpt35|chatgpt|davinci|instruct-?gpt|\bo[134]\b|openai|alpaca_eval_(?:gpt|clf_gpt)",
    "Anthropic": r"claude|anthropic",
    "Google": r"gemini|bard|palm|gemma|google",
    "Meta": r"llama",
    "Mistral": r"mistral|mixtral",
    "Alibaba": r"qwen",
    "DeepSeek": r"deepseek",
    "Cohere": r"command|cohere",
}


def maker(name: str) -> str:
    """The maker of a model, "" where its name does not tell."""
    plain = re.sub(r"[\s_]+", "-", name.lower())
    return next((who for who, pattern in _MAKERS.items() if re.search(pattern.replace("_", "-"), plain)), "")


def judge_flag(judge: str, teacher: str) -> str:
    """A sentence where a judge is the teacher or of its maker; "" where it is neither, as far as names tell."""
    if judge.lower() == teacher.lower():
        return f"The judge {judge} is the teacher itself: its verdicts favour its own answers."
    mine, theirs = maker(judge), maker(teacher)
    if mine and mine == theirs:
        return f"The judge {judge} and the teacher {teacher} are both made by {mine}: such judges favour their family."
    return ""
