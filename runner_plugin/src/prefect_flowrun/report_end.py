"""Where Jobs of operators of every version start the report; see `records.lost_driver_report`."""

from prefect_flowrun.records.lost_driver_report import main

if __name__ == "__main__":
    main()
