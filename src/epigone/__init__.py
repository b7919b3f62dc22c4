"""epigone runs imitation studies: what did a student get from its teacher, capability or only style?"""

__version__ = "0.1.0"
