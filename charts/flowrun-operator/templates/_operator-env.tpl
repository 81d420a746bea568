{{/* The operator's settings; all of them are environment, so a changed value is a changed pod template and restarts it. */}}
{{- define "flowrun.operatorEnv" -}}
- name: FLOWRUN_OPERATOR_NAMESPACES
  value: {{ join "," .Values.watchNamespaces | quote }}
- name: FLOWRUN_OPERATOR_DEFAULT_IMAGE
  value: {{ include "flowrun.runtimeImage" . | quote }}
- name: FLOWRUN_OPERATOR_DEFAULT_IMAGE_PULL_POLICY
  value: {{ .Values.runtime.pullPolicy }}
- name: FLOWRUN_OPERATOR_DEFAULT_DRIVER_RESOURCES
  value: {{ toJson .Values.defaults.driver.resources | quote }}
- name: FLOWRUN_OPERATOR_DEFAULT_WORKER_RESOURCES
  value: {{ toJson .Values.defaults.worker.resources | quote }}
- name: FLOWRUN_OPERATOR_DEFAULT_DASK_COORDINATOR_RESOURCES
  value: {{ toJson .Values.defaults.coordinators.dask.resources | quote }}
- name: FLOWRUN_OPERATOR_DEFAULT_RAY_COORDINATOR_RESOURCES
  value: {{ toJson .Values.defaults.coordinators.ray.resources | quote }}
- name: FLOWRUN_OPERATOR_DEFAULT_POD_SECURITY_CONTEXT
  value: {{ include "flowrun.user" .Values.defaults.podSecurityContext | quote }}
{{- with include "flowrun.prefectApiUrl" . }}
- name: FLOWRUN_OPERATOR_PREFECT_API_URL
  value: {{ . | quote }}
{{- end }}
{{- with .Values.prefect.apiKeySecret }}
{{- if .name }}
- name: FLOWRUN_OPERATOR_PREFECT_API_KEY
  valueFrom:
    secretKeyRef:
      name: {{ .name }}
      key: {{ .key }}
{{- end }}
{{- end }}
{{- with include "flowrun.prefectUiUrl" . }}
- name: FLOWRUN_OPERATOR_PREFECT_UI_URL
  value: {{ . | quote }}
{{- end }}
- name: FLOWRUN_OPERATOR_LEADER_ELECTION
  value: {{ .Values.leaderElection.enabled | quote }}
{{- if .Values.leaderElection.enabled }}
- name: FLOWRUN_OPERATOR_LEASE_NAME
  value: {{ include "flowrun.operatorName" . | quote }}
- name: FLOWRUN_OPERATOR_LEASE_NAMESPACE
  value: {{ .Release.Namespace | quote }}
- name: FLOWRUN_OPERATOR_LEASE_DURATION_S
  value: {{ .Values.leaderElection.leaseDurationSeconds | quote }}
- name: FLOWRUN_OPERATOR_RENEW_DEADLINE_S
  value: {{ .Values.leaderElection.renewDeadlineSeconds | quote }}
- name: FLOWRUN_OPERATOR_RETRY_PERIOD_S
  value: {{ .Values.leaderElection.retryPeriodSeconds | quote }}
- name: FLOWRUN_OPERATOR_IDENTITY
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- end }}
- name: FLOWRUN_OPERATOR_LOG_LEVEL
  value: {{ .Values.logLevel }}
- name: FLOWRUN_OPERATOR_LOG_FORMAT
  value: {{ .Values.logFormat }}
- name: FLOWRUN_OPERATOR_PORT
  value: "8080"
{{- end -}}
