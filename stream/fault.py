"""What a stage cannot mend itself."""


class Fault(RuntimeError):
    """A stage cannot work until a person mends something; the text is a sentence for that person."""
