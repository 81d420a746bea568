"""Entry point of a standalone cluster's coordinator pod."""

from prefect_flowrun.coordinator.process import main

if __name__ == "__main__":
    main()
