"""Write the kept figures into the documents, without measuring: `python -m bench.report`."""

from bench.report.documents import write

if __name__ == "__main__":
    write()
