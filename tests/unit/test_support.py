"""Support: a planted effect is found, none is not, the search is brute force's, items are read off prompts."""

import json
from pathlib import Path

import numpy as np
import pytest
import sacrebleu
from scipy.stats import linregress, spearmanr

from epigone import support_command
from epigone.datasets import write_dataset
from epigone.errors import DataError, SpecError, WorkError
from epigone.metrics.support import STEP, own_parts, support_map
from epigone.records import Conversation, Message, Score
from epigone.store import read_records, write_records
from epigone.stages.support import Support
