"""Entry point of the driver's container."""

from prefect_flowrun.driver.process import main

if __name__ == "__main__":
    main()
