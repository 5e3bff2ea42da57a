"""`python -m shop_suite.parallel fork|spawn LABEL`: Django's test command with two processes, made in that way."""

import multiprocessing
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    method, *labels = sys.argv[1:]
    multiprocessing.set_start_method(method)
    execute_from_command_line(["django", "test", "-v1", "--parallel", "2", *labels])
