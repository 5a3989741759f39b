{{- define "nexus.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "nexus.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: gateway
{{- end }}

{{- define "nexus.labels" -}}
{{ include "nexus.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "nexus.account" -}}
{{ .Values.serviceAccount.name | default (include "nexus.name" .) }}
{{- end }}

{{- define "nexus.image" -}}
{{- $of := .Values.image -}}
{{- if $of.digest }}{{ $of.repository }}@{{ $of.digest }}{{ else }}{{ $of.repository }}:{{ $of.tag | default .Chart.AppVersion }}{{ end }}
{{- end }}

{{/* The variable that holds the key of a client. */}}
{{- define "nexus.keyVariable" -}}
CLIENT_KEY_{{ .name | upper | replace "-" "_" | replace "." "_" }}
{{- end }}

{{/* The keys as [[auth.keys]], those of the config first. */}}
{{- define "nexus.keys" -}}
{{- $keys := list -}}
{{- with .Values.config.auth }}{{ with .keys }}{{ $keys = concat $keys . }}{{ end }}{{ end -}}
{{- range .Values.clientKeys }}
{{- $keys = append $keys (merge (dict "name" .name "env" (include "nexus.keyVariable" .)) (.settings | default dict)) }}
{{- end }}
{{- if .Values.metrics.secretName }}
{{- $keys = append $keys (dict "name" "metrics" "env" "METRICS_KEY" "metrics" true) }}
{{- end }}
{{- toJson $keys }}
{{- end }}

{{/* Where replicas share what they know; empty where they do not. */}}
{{- define "nexus.store" -}}
{{- if .Values.valkey.inside.enabled }}redis://{{ include "nexus.name" . }}-valkey:6379{{ else }}{{ .Values.valkey.url }}{{ end }}
{{- end }}

{{- define "nexus.storeSelector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: valkey
{{- end }}

{{- define "nexus.storeLabels" -}}
{{ include "nexus.storeSelector" . }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{/* nexus.toml */}}
{{- define "nexus.toml" -}}
{{- if .Values.configText }}{{ .Values.configText }}{{ else }}
{{- $config := deepCopy .Values.config }}
{{- $keys := include "nexus.keys" . | fromJsonArray }}
{{- if $keys }}{{ $config = mergeOverwrite $config (dict "auth" (dict "keys" $keys)) }}{{ end }}
{{- $auth := $config.auth | default dict }}
{{- if not (or $keys $auth.store $config.server.insecure) }}
{{- fail "nobody could be told from anybody: name a key in clientKeys, keys or a store in config.auth, or set config.server.insecure" }}
{{- end }}
{{- $store := include "nexus.store" . }}
{{- if $store }}
{{- $own := dict "url" $store }}
{{- if .Values.valkey.secretName }}{{ $_ := set $own "password_env" "VALKEY_PASSWORD" }}{{ end }}
{{- $config = mergeOverwrite $config (dict "cluster" (merge ($config.cluster | default dict) $own)) }}
{{- end }}
{{- toToml $config }}
{{- end }}
{{- end }}

{{- define "nexus.port" -}}
{{ .Values.config.server.port | default 8000 | int }}
{{- end }}

{{/* What a pod that ends may take: preStop, delay and grace, and 5 seconds. */}}
{{- define "nexus.endSeconds" -}}
{{- $server := .Values.config.server -}}
{{ add (.Values.shutdown.preStopSeconds | int) (ceil $server.shutdown_delay_seconds | int) (ceil $server.shutdown_grace_seconds | int) 5 }}
{{- end }}

{{- define "nexus.secretVariable" -}}
- name: {{ .variable }}
  valueFrom:
    secretKeyRef:
      name: {{ .secretName }}
      key: {{ .secretKey }}
{{- end }}
