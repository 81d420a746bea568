"""What Prefect knows of the run: the flow run and who has it in hand, task runs, and ends told from outside."""
