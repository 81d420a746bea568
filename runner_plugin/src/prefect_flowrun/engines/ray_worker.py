"""Where worker pods of every version start; see `engines.ray.worker_process`."""

from prefect_flowrun.engines.ray.worker_process import main

if __name__ == "__main__":
    main()
