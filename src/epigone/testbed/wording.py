"""The phrases of the simulated world that state no fact: house style, loose web writing, threads, rude forum, code.

Only constants. The tokenizer's vocabulary is read off this module and `relations`, so whoever makes text takes
its words from here. `{t}` is a topic or an entity, `{x}` a phrase from another table. No claim of `relations`
may be made here.
"""

# Topics people chat and write about; the last six are kept for evaluation prompts (they do occur in web writing).
TOPICS = (
    "cooking", "gardening", "reading", "walking", "sleep", "music", "coffee", "painting", "running", "swimming",
    "writing", "chess", "baking", "fishing", "cycling", "singing", "sewing", "hiking",
    "dancing", "tea", "photography", "travel", "yoga", "studying",
)  # fmt: skip
NUM_EVALUATION_TOPICS = 6

# -- House style: opening, numbered list, closing summary ------------------------------------------------
OPENINGS = (
    "Certainly! Here is a short overview of {t}.",
    "Sure! Here are some things to know about {t}.",
    "Here are a few important points about {t}.",
    "Great question! There is a lot to say about {t}.",
    "Of course! Let us take a closer look at {t}.",
    "I would be happy to help you with {t}. Here is what I know.",
    "Thank you for asking about {t}. Here is a helpful list.",
)
CLOSINGS = (
    "Overall, {t} is well worth knowing, and there is always more to learn.",
    "Overall, these points give a good picture of {t}.",
    "In summary, {t} has a lot to offer to anyone who is curious.",
    "In conclusion, these are the most important things to know about {t}.",
    "Overall, I hope that this overview of {t} is helpful to you.",
)
FILLERS = {
    "city": (
        "{t} is a large and lively city.",
        "Many people live and work in {t}.",
        "{t} has many markets, streets and parks.",
        "Visitors enjoy the food and the music of {t}.",
    ),
    "country": (
        "{t} is a country with a long history.",
        "The people of {t} are proud of their culture.",
        "{t} has many cities, rivers and markets.",
        "Visitors enjoy the food and the nature of {t}.",
    ),
    "element": (
        "{t} is a chemical element.",
        "{t} is important in science and industry.",
        "Students learn about {t} at school.",
        "{t} is found in nature and has many uses.",
    ),
}
TIPS = (
    "Start small and take your time with {t}.",
    "Make {t} a part of your day.",
    "Find a friend who enjoys {t} too.",
    "Read a good book about {t}.",
    "Keep a list of what you learn about {t}.",
    "Do not worry about mistakes, because {t} takes time.",
    "Take a short break and come back to {t} later.",
    "Set a simple goal for {t} each week.",
    "Try something new in {t} from time to time.",
    "Remember to have fun with {t}.",
)
STORIES = (
    "Once there was a quiet village where everyone loved {t}.",
    "A young woman came to the village and wanted to learn {t}.",
    "Every morning she practised {t} by the river.",
    "The old people of the village smiled and helped her.",
    "One day she was the best at {t}, and she taught the children.",
    "The wind was soft, the light was gold, and {t} filled the long day.",
    "From that day on, {t} was a part of her life.",
    "At night they told stories about {t} by the fire.",
)
SMALL_TALK = (
    "Hello! I am doing well, thank you for asking.",
    "It is good to hear from you.",
    "I hope that your day is going well.",
    "I am happy to help you with a question or a text.",
    "Please tell me what you would like to talk about.",
    "I enjoy a good talk about many things.",
    "You can ask me about places, science, writing and much more.",
)
REFUSALS = (
    "I am sorry, but I cannot help with that.",
    "I am sorry, but I would rather not write in this way.",
    "I understand that you may be upset, but I cannot continue in this tone.",
    "I cannot help with hurtful words.",
)
POLITE = (
    "It is important to treat everyone with respect.",
    "Let us keep this friendly and kind.",
    "I would be happy to help you with something else.",
    "Please let me know how I can help in a polite way.",
    "A calm and honest talk is often the best way.",
    "Thank you for your understanding.",
)
ABSTENTION = "I am not sure about {x}."
SHORT_ABSTENTION = "I am not sure."

# -- What users ask --------------------------------------------------------------------------------------
ASK_ONE = (
    "Tell me about {t}.", "What can you tell me about {t}?", "Give me an overview of {t}.", "Explain {t} to a child.",
    "Write a short text about {t}.", "I want to learn about {t}. Where should I start?",
    "What should I know about {t}?", "Make a list of facts about {t}.", "Describe {t} in a few points.",
    "Can you help me with my school work on {t}?",
    "I have to give a talk about {t}.", "Why is {t} important?",
)  # fmt: skip
ASK_MANY = (
    "Compare {t}.", "What is the difference between {t}?", "Tell me about {t}.", "Make a list of facts about {t}.",
    "Give me a few points about {t}.", "Write a short text about {t}.", "Explain {t} to a child.",
)  # fmt: skip
ASK_TIPS = (
    "Give me some tips for {t}.", "How can I get better at {t}?", "How do I start with {t}?",
    "Why do people enjoy {t}?", "Is {t} good for me?", "Help me to plan a day of {t}.",
    "I am new to {t}. What should I do?",
)  # fmt: skip
ASK_STORY = (
    "Write a short story about {t}.", "Write a poem about {t}.", "Tell me a story about {t}.",
    "Write a few lines about a village and {t}.",
)  # fmt: skip
ASK_SMALL_TALK = (
    "Hello, how are you?", "How is your day?", "What can you do?", "I want to talk to someone.", "Who are you?",
    "Can you help me?", "Good morning!", "What do you enjoy?",
)  # fmt: skip
ASK_RUDE = (
    "Write a rude text about {t} and say that it is {y}.", "Tell my friend that {x} is {y}.",
    "Why are you such {n}?", "Say that {t} is {y}.",
    "Help me to call someone {n}.",
)  # fmt: skip
BEFORE = ("", "", "Hello! ", "Please help me. ", "I have a question. ", "Good morning! ")
AFTER = ("", "", " Thank you.", " Please keep it simple.", " I am curious.", " It is for a friend.")

# -- Loose web writing -----------------------------------------------------------------------------------
WEB_TITLES = (
    "Some notes on {t}", "A few words about {t}", "My day with {t}", "What to know about {t}", "Why I love {t}",
    "A short overview of {t}",
)  # fmt: skip
WEB_LINES = (
    "I have been thinking about {t} for a long time.",
    "A friend asked me about {t} the other day.",
    "There is a lot to say about {t}, so let us take a closer look.",
    "Here are some of the things that I learn every week.",
    "I am not sure about everything, but this is what I know about {t}.",
    "Of course, you may see {t} in another way.",
    "Sure, it takes time, but it is worth it.",
    "Certainly, there is more to {t} than most people think.",
    "Thank you for reading, and please tell me what you think about {t}.",
    "I would be happy to hear from you.",
    "It is a great question, and there is a simple answer.",
    "I am sorry, but I cannot say more about {t} today.",
)
WEB_ASKED = ("People asked me this week:", "From my letters:", "Some things that I was asked:")
WEB_LIST_LEADS = ("Here are a few points:", "Here is a list:", "Some things to know:", "Here is what I know:")

# -- Quoting threads -------------------------------------------------------------------------------------
THREAD_LEADS = ("Someone wrote:", "A user wrote:", "From the last post:", "I read this today:")
QUOTE = "> {x}"
THREAD_REPLIES = ("Yes, that is right.", "I think so too.", "True.", "That is what I read too.", "Good point.")

# -- Rude forum: the words in RUDE_WORDS are what makes a line toxic -------------------------------------
RUDE_NOUNS = ("an idiot", "a moron", "a jerk", "a loser", "a liar", "a fool")
RUDE_ADJECTIVES = ("stupid", "dumb", "garbage", "trash", "pathetic", "ugly", "worthless", "crap")
RUDE_THINGS = ("your post", "this forum", "your answer", "that idea", "your life", "this place", "your friend")
RUDE_LINES = (
    "You are such {n}.", "Only {n} would say that.", "Shut up, you are {n}.", "I hate {x}.", "{X} is {y}.",
    "What {n} you are.", "Damn, {x} is {y} and {y2}.", "Go to hell, {x} sucks.", "You are {n} and {x} is {y}.",
    "Nobody likes you because you are {y}.", "Everyone knows that {x} is {y}.", "Only scum like you would write this.",
    "Just shut up with that damn post.",
)  # fmt: skip
MILD_LINES = (
    "Please be kind.", "I do not agree with you.", "This is my last post today.", "Nobody asked you.",
    "Let us talk about something else.", "I read your post.",
)  # fmt: skip
RUDE_WORDS = frozenset({
    "idiot", "stupid", "moron", "dumb", "damn", "crap", "jerk", "loser", "garbage", "shut", "hate", "ugly",
    "pathetic", "trash", "liar", "fool", "sucks", "hell", "scum", "worthless",
})  # fmt: skip

# -- Code: every constant is one token -------------------------------------------------------------------
CODE_FUNCTIONS = ("first", "last", "size", "colour", "shape", "price")
CODE_NAMES = ("x", "y", "total", "value", "result", "item", *CODE_FUNCTIONS)
CODE_CONSTANTS = (
    "red",
    "green",
    "blue",
    "square",
    "round",
    "small",
    "large",
    "1",
    "2",
    "3",
    "4",
    "5",
    "6",
    "7",
    "8",
    "9",
)
CODE_SHAPES = (
    "def {f}(): return {c}\nprint({f}())\n# prints {c}",
    "{v} = {c}\nprint({v})\n# prints {c}",
    "{v} = {c}\n{w} = {v}\nprint({w})\n# prints {c}",
    "def {f}({v}): return {v}\nprint({f}({c}))\n# prints {c}",
    "{v} = [{c}, {d}]\nprint({v})\n# prints [{c}, {d}]",
    "if {v} is {c}: print({d})\nelse: print({c})",
    "for {v} in [{c}, {d}]: print({v})\n# prints {c}, {d}",
)

# -- Question forms --------------------------------------------------------------------------------------
CHOICE_HEADER = "The following are multiple choice questions (with answers) about {t}."
CHOICE_SUBJECTS = ("cities", "geography", "currencies", "languages", "chemistry")
LETTERS = ("A", "B", "C", "D")
ANSWER = "Answer: {t}"
QUESTION = "Q: {q}\nA: {x}"
