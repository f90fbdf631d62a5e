"""Training pictures in shared memory that a background process draws while the network learns."""

from __future__ import annotations

import gc
import multiprocessing
import os
import time
import traceback
from collections.abc import Callable
from mmap import mmap

import cv2
import numpy as np
from numpy.typing import NDArray

Draw = Callable[[np.random.Generator], NDArray[np.uint8]]


class Pool:
    """`capacity` examples, uint8 [*shape] each, drawn by `draw`, and renewed for as long as the parent lives.

    The process works at full speed until a quarter is there, at `share` of a core until all is, and at
    `renewal` of a core after that. It ends with its parent.
    """

    def __init__(
        self,
        draw: Draw,
        shape: tuple[int, ...],
        capacity: int,
        seed: int,
        share: float = 0.5,
        renewal: float = 0.1,
    ) -> None:
        size = capacity * int(np.prod(shape))
        memory = mmap(-1, size + 8)
        self._filled = np.frombuffer(memory, np.int64, 1)
        self._rows = np.frombuffer(memory, np.uint8, size, 8).reshape(capacity, *shape)
        self._draw, self._seed, self._share, self._renewal = draw, seed, share, renewal
        cv2.setNumThreads(1)  # here, since a forked copy of OpenCV's threads can be neither used nor ended
        context = multiprocessing.get_context(
            "fork"
        )  # the anonymous memory is inherited, nothing is left behind
        gc.collect()  # what is left of engines must end here: their threads are not in the fork
        self._process = context.Process(target=self._run, daemon=True)
        self._process.start()

    @property
    def drawn(self) -> int:
        """Examples drawn since the start; more than the capacity once the first ones have been renewed."""
        return int(self._filled[0])

    def wait(self, count: int) -> None:
        """Returns when `count` examples are there. Raises RuntimeError when the drawing process has died."""
        while self.drawn < min(count, len(self._rows)):
            self._check()
            time.sleep(0.1)

    def take(self, count: int, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Random examples, uint8 [count, *shape], half of them mirrored along the second axis.

        Raises RuntimeError when the drawing process has died.
        """
        self._check()
        picked = self._rows[rng.integers(0, min(self.drawn, len(self._rows)), count)]
        flipped = rng.random(count) < 0.5
        picked[flipped] = picked[flipped, :, ::-1]
        return picked

    def close(self) -> None:
        """Ends the drawing process."""
        self._process.terminate()
        self._process.join()

    def _check(self) -> None:
        if not self._process.is_alive():
            raise RuntimeError(f"the process that draws examples ended with code {self._process.exitcode}")

    def _run(self) -> None:
        gc.freeze()  # what came with the fork is the parent's to end
        try:
            self._fill()
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(1)  # a fork must not run the exit handlers of what its parent had loaded

    def _fill(self) -> None:
        rng, parent, capacity = np.random.default_rng(self._seed), os.getppid(), len(self._rows)
        while os.getppid() == parent:
            began = time.process_time()
            self._rows[self.drawn % capacity] = self._draw(rng)
            self._filled[0] += 1
            if self.drawn > capacity // 4:
                share = self._share if self.drawn < capacity else self._renewal
                time.sleep((time.process_time() - began) * (1 / share - 1))
