"""Makes ``python -m bandersnatch`` the same as the ``bandersnatch`` command."""

from bandersnatch.main import console

if __name__ == "__main__":
    console()
