{{/*
Prefix of all names. Not the usual <release>-<chart>: release "flowrun" gives "flowrun-operator", not "flowrun-flowrun-operator".
40 characters leave room for the longest suffix in the 63 of a Service's name.
*/}}
{{- define "flowrun.fullname" -}}
{{- $name := .Values.fullnameOverride -}}
{{- if not $name -}}
{{- $name = .Release.Name | trimSuffix "-operator" -}}
{{- if not (contains "flowrun" $name) -}}
{{- $name = printf "%s-flowrun" ($name | trunc 32 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}
{{- $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "flowrun.operatorName" -}}
{{ include "flowrun.fullname" . }}-operator
{{- end -}}

{{- define "flowrun.prefectServerName" -}}
{{ include "flowrun.fullname" . }}-prefect-server
{{- end -}}

{{/* Labels that never change, for selectors. Call with (dict "root" $ "component" "operator"). */}}
{{- define "flowrun.selectorLabels" -}}
app.kubernetes.io/name: flowrun-operator
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* All labels. managed-by is Helm: the pods of runs are found by managed-by=flowrun-operator. */}}
{{- define "flowrun.labels" -}}
{{ include "flowrun.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: flowrun
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "flowrun.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "flowrun.operatorName" .) -}}
{{- end -}}

{{- define "flowrun.operatorImage" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}

{{- define "flowrun.runtimeImage" -}}
{{- .Values.runtime.image | default (printf "flowrun-runtime:%s" .Chart.AppVersion) -}}
{{- end -}}

{{/* "true" where the bundled server is installed, else empty. */}}
{{- define "flowrun.bundledServer" -}}
{{- if and .Values.prefect.server.enabled (not .Values.prefect.apiUrl) -}}true{{- end -}}
{{- end -}}

{{- define "flowrun.prefectApiUrl" -}}
{{- if .Values.prefect.apiUrl -}}
{{- .Values.prefect.apiUrl -}}
{{- else if include "flowrun.bundledServer" . -}}
http://{{ include "flowrun.prefectServerName" . }}.{{ .Release.Namespace }}.svc:4200/api
{{- end -}}
{{- end -}}

{{- define "flowrun.prefectUiUrl" -}}
{{- if .Values.prefect.uiUrl -}}
{{- .Values.prefect.uiUrl -}}
{{- else if include "flowrun.bundledServer" . -}}
http://localhost:4200
{{- end -}}
{{- end -}}

{{/* As whom a pod runs, as JSON, without what is null. Call with the value, which may be null itself. */}}
{{- define "flowrun.user" -}}
{{- $given := . | default dict -}}
{{- $user := dict -}}
{{- range $key := list "runAsUser" "runAsGroup" "fsGroup" -}}
{{- $id := index $given $key -}}
{{- if not (kindIs "invalid" $id) -}}
{{- $_ := set $user $key (int64 $id) -}}
{{- end -}}
{{- end -}}
{{- toJson $user -}}
{{- end -}}

{{/* Pod Security "restricted", and OpenShift's restricted-v2 where podSecurityContext is null. */}}
{{- define "flowrun.podSecurityContext" -}}
runAsNonRoot: true
{{- range $key, $id := include "flowrun.user" .Values.podSecurityContext | fromJson }}
{{ $key }}: {{ int64 $id }}
{{- end }}
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "flowrun.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop:
  - ALL
{{- end -}}

{{/* Combinations that the schema can't refuse and that would otherwise be ignored in silence. */}}
{{- define "flowrun.validate" -}}
{{- if and .Values.prefect.apiKeySecret.name (not .Values.prefect.apiUrl) -}}
{{- fail "prefect.apiKeySecret.name needs prefect.apiUrl: the bundled server takes no key" -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled (not .Values.metrics.enabled) -}}
{{- fail "metrics.serviceMonitor.enabled needs metrics.enabled" -}}
{{- end -}}
{{- with .Values.leaderElection -}}
{{- if and (not .enabled) (gt (int $.Values.replicas) 1) -}}
{{- fail "replicas above 1 need leaderElection.enabled: otherwise all of them act" -}}
{{- end -}}
{{- if or (le (int .leaseDurationSeconds) (int .renewDeadlineSeconds)) (le (int .renewDeadlineSeconds) (mul 2 (int .retryPeriodSeconds))) -}}
{{- fail "leaderElection: leaseDurationSeconds must be above renewDeadlineSeconds, and that above twice retryPeriodSeconds" -}}
{{- end -}}
{{- end -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) -}}
{{- fail "serviceAccount.create: false needs serviceAccount.name" -}}
{{- end -}}
{{- end -}}
