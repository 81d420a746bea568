"""What operator, plugin and command have in common: the kinds of the API, and what driver and operator tell each other.

`kinds` holds the models of FlowRun and TaskCluster, `contract` what a driver is told and what it answers, `environment`
the names of all FLOWRUN_* variables, `archive` and `listing` how a flow's folder travels. Importing this package
imports none of them: workers and the command want some of them without pydantic.
"""
