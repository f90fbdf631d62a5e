"""`python -m tools.benchmark NAME`: measurements that print their figures and can save them as JSON.

pipeline   live cameras from end to end, beside the plain way of doing the same
people_page what the people page asks, with 10,000 people enrolled
review_page  what the review page asks, over 100,000 sightings
live_page  from the overlay to the canvas of the live page in a browser
capture    from the sender's stamp in the picture to the decoded frame
playback   from any moment of a recording to its first picture
recording  what recording costs, and what the live view notices of it
archive    a month of eight cameras: how long questions to the archive take
detection  faces in pictures of 720p to 4K, of one camera and of eight, beside facenet-pytorch
unmasking  from a masked face's crop to its reconstruction, beside torch and inpainting
embedding  from a face's crop to its embedding, beside other ways to run the same weights
precision  what each network gains and loses in bf16, fp16 and int8
search     who is like this face among a thousand to a million templates
"""

from __future__ import annotations

import importlib
import sys

NAMES = (
    "pipeline",
    "live_page",
    "people_page",
    "review_page",
    "capture",
    "playback",
    "recording",
    "archive",
    "detection",
    "unmasking",
    "embedding",
    "precision",
    "search",
)


def main() -> int:
    """Run the benchmark named first; the rest of the arguments are its own."""
    if len(sys.argv) < 2 or sys.argv[1] not in NAMES:
        print(__doc__)
        print(f"NAME: must be one of {', '.join(NAMES)}, found {' '.join(sys.argv[1:2]) or 'none'}")
        return 2
    name = sys.argv.pop(1)
    result = importlib.import_module(f"tools.benchmarks.{name}").main()
    return int(result or 0)


if __name__ == "__main__":
    sys.exit(main())
