{{- define "flowrun.prefectServerEnv" -}}
- name: HOME
  value: /tmp
# Not on the data volume: it notes which blocks are registered, which must not outlive a database that is replaced.
- name: PREFECT_HOME
  value: /tmp/prefect
- name: PREFECT_SERVER_API_HOST
  value: 0.0.0.0
- name: PREFECT_SERVER_API_PORT
  value: "4200"
- name: PREFECT_API_DATABASE_CONNECTION_URL
  value: sqlite+aiosqlite:////data/prefect.db
- name: PREFECT_SERVER_ANALYTICS_ENABLED
  value: "false"
# Relative, so that the UI works behind any port-forward or ingress. The default would be http://0.0.0.0:4200/api.
- name: PREFECT_SERVER_UI_API_URL
  value: /api
# The UI's files are copied at start; the default is a folder of the image, which is read-only.
- name: PREFECT_SERVER_UI_STATIC_DIRECTORY
  value: /tmp/prefect-ui
- name: PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT
  value: "false"
# One transaction for many events: by default the recorder commits each one, 35 ms of CPU per task run, and falls behind
# until the in-memory bus (10 000 events) drops what comes. A batch waits for 1 s at most; below 1 it would spin.
- name: PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE
  value: "200"
- name: PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL
  value: "1"
- name: PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE
  value: "200"
- name: PREFECT_SERVER_SERVICES_EVENT_PERSISTER_FLUSH_INTERVAL
  value: "1"
{{- end -}}
