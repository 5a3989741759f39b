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

{{/* Fails where two names or two variables are one: the second would stand in the place of the first. */}}
{{- define "nexus.noTwins" -}}
{{- $names := dict -}}
{{- with .Values.config.auth }}{{ range .keys }}{{ $_ := set $names (.name | default "") "config.auth.keys" }}{{ end }}{{ end -}}
{{- $variables := dict -}}
{{- if .Values.metrics.secretName }}{{ $_ := set $names "metrics" "metrics.secretName" }}{{ $_ := set $variables "METRICS_KEY" "metrics.secretName" }}{{ end -}}
{{- if and .Values.valkey.secretName (include "nexus.store" .) }}{{ $_ := set $variables "VALKEY_PASSWORD" "valkey.secretName" }}{{ end -}}
{{- range .Values.clientKeys }}
{{- if hasKey $names .name }}{{ fail (printf "clientKeys: the name %q is taken, by %s: give each key one of its own" .name (get $names .name)) }}{{ end }}
{{- $_ := set $names .name "clientKeys" }}
{{- $variable := include "nexus.keyVariable" . }}
{{- if hasKey $variables $variable }}{{ fail (printf "clientKeys: %q and %s would have one variable, %s: give the key a name that differs by more than case, dots and dashes" .name (get $variables $variable) $variable) }}{{ end }}
{{- $_ := set $variables $variable (printf "%q" .name) }}
{{- end }}
{{- range .Values.secretEnv }}
{{- if hasKey $variables .name }}{{ fail (printf "secretEnv: the variable %s is taken, by %s: give each one of its own" .name (get $variables .name)) }}{{ end }}
{{- $_ := set $variables .name "secretEnv" }}
{{- end }}
{{- end }}

{{/* Fails where a file that Nexus writes would not stand in a volume: what has none is read-only. */}}
{{- define "nexus.writable" -}}
{{- $path := .path -}}
{{- $found := false -}}
{{- if hasPrefix "/" $path }}
{{- range .mounts }}{{ if and (not .readOnly) (hasPrefix (printf "%s/" (trimSuffix "/" .mountPath)) $path) }}{{ $found = true }}{{ end }}{{ end }}
{{- end }}
{{- if not $found }}
{{- fail (printf "%s: %q would stand where nothing can be written (the folder of the config, and all that is no volume): name a file by its whole path, below the mountPath of one of volumeMounts, such as /var/lib/nexus/%s" .setting $path (base $path)) }}
{{- end }}
{{- end }}

{{/* Looks at all files that Nexus would write, but for those that `env` names. */}}
{{- define "nexus.files" -}}
{{- $mounts := .Values.volumeMounts -}}
{{- $set := dict -}}
{{- range .Values.env }}{{ $_ := set $set .name true }}{{ end -}}
{{- $config := .Values.config -}}
{{- with $config.auth }}
{{- if and .store (not (hasKey $set "NEXUS_AUTH_STORE")) }}{{ include "nexus.writable" (dict "setting" "config.auth.store" "path" .store "mounts" $mounts) }}{{ end }}
{{- end }}
{{- $usage := $config.usage | default dict }}
{{- if and (or $usage.enabled $config.budgets) (not (hasKey $set "NEXUS_USAGE_PATH")) }}
{{- include "nexus.writable" (dict "setting" "config.usage.path" "path" ($usage.path | default "nexus-usage.sqlite") "mounts" $mounts) }}
{{- end }}
{{- if and $config.capture (not (hasKey $set "NEXUS_CAPTURE_PATH")) }}
{{- include "nexus.writable" (dict "setting" "config.capture.path" "path" ($config.capture.path | default "nexus-captures.sqlite") "mounts" $mounts) }}
{{- end }}
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
{{- include "nexus.noTwins" . }}
{{- include "nexus.files" . }}
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
