"""The browser of the tests."""

from tools.browser import Browser, Page, executable, until

__all__ = ["Browser", "Page", "executable", "until"]
