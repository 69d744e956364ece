"""What a worker of the trial runs on each task: it waits, computes and notes it down.

Its input is a number of seconds, a line break and a text; its output is what the skill
makes of the text. The journal is one file per worker to which it appends a line when it
begins and another when it has come to its end, so that what was really done can be
judged without asking any node. It loads the standard library only, and is run by its
path.
"""

import hashlib
import os
import sys
import time


def main() -> None:
    """Do one task; the journal's path is the only argument."""
    journal = sys.argv[1]
    seconds, _, text = sys.stdin.read().partition("\n")
    _note(journal, "began")
    time.sleep(float(seconds))
    match os.environ["NESTMATE_SKILL"]:
        case "fingerprint":
            result = hashlib.sha256(text.encode()).hexdigest()
        case "word-count":
            result = str(len(text.split()))
        case _:
            result = "\n".join(sorted(text.splitlines()))
    sys.stdout.write(result)
    sys.stdout.flush()
    _note(journal, "ended")


def _note(journal: str, what: str) -> None:
    """One line in one write, so that lines never mix."""
    task, fence = os.environ["NESTMATE_TASK"], os.environ["NESTMATE_GENERATION"]
    line = f"{what} {task} {fence} {os.getpid()} {time.time():.6f}\n"
    with open(journal, "ab", buffering=0) as file:  # noqa: PTH123 - loads a third of pathlib's time
        file.write(line.encode())


if __name__ == "__main__":
    main()
