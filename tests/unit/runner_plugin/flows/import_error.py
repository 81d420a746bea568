import no_such_package_anywhere
from prefect import flow


@flow
def broken():
    return no_such_package_anywhere
