{{- define "signet.name" -}}
{{- .Values.nameOverride | default .Chart.Name -}}
{{- end }}

{{/* The release's name, with the chart's in it: what every other name begins with. */}}
{{- define "signet.fullname" -}}
{{- $name := include "signet.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "signet.controller" -}}
{{ include "signet.fullname" . }}-controller
{{- end }}

{{- define "signet.issuer" -}}
{{ include "signet.fullname" . }}-issuer
{{- end }}

{{/* As the API server names the accounts. */}}
{{- define "signet.controllerUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "signet.controller" . }}
{{- end }}

{{- define "signet.issuerUser" -}}
system:serviceaccount:{{ .Release.Namespace }}:{{ include "signet.issuer" . }}
{{- end }}

{{- define "signet.publicUrl" -}}
{{- with .Values.publicUrl -}}
{{- if not (regexMatch `^https?://[^/?#@\s]+(/[^/?#\s]+)*$` .) -}}
{{- fail (printf "publicUrl %q is not the URL of an issuer: type http:// or https://, a host and a path if there is one, without query, fragment or a slash at the end, such as https://tokens.example.com" .) -}}
{{- end -}}
{{- . -}}
{{- else -}}
{{- $port := int .Values.issuer.service.httpsPort -}}
https://{{ include "signet.issuer" . }}.{{ .Release.Namespace }}.svc{{ if ne $port 443 }}:{{ $port }}{{ end }}
{{- end -}}
{{- end }}

{{/* Without port. */}}
{{- define "signet.publicHost" -}}
{{- (urlParse (include "signet.publicUrl" .)).hostname -}}
{{- end }}

{{/* The host of publicUrl, and those given: what leads to the issuer from outside. JSON. */}}
{{- define "signet.hosts" -}}
{{- if not .root.Values.publicUrl -}}
{{- fail (printf "%s.enabled needs publicUrl, whose host it is for: type one such as https://tokens.example.com" .name) -}}
{{- end -}}
{{- prepend .more (include "signet.publicHost" .root) | uniq | toJson -}}
{{- end }}

{{/* What the Service is called inside the cluster, with commas. */}}
{{- define "signet.dnsNames" -}}
{{- $name := include "signet.issuer" . -}}
{{- $full := printf "%s.%s" $name .Release.Namespace -}}
{{- printf "%s,%s,%s.svc,%s.svc.cluster.local" $name $full $full $full -}}
{{- end }}

{{/* The Secret with the issuer's certificate; empty where the controller makes one. */}}
{{- define "signet.tlsSecret" -}}
{{- if and .Values.tls.certManager.enabled (not .Values.tls.secretName) -}}
{{- include "signet.issuer" . }}-tls
{{- else -}}
{{- .Values.tls.secretName -}}
{{- end -}}
{{- end }}

{{/* The value at the path given, if it is a duration that the operator reads; only drainDelay may be 0. */}}
{{- define "signet.duration" -}}
{{- $value := .root.Values -}}
{{- range splitList "." .name }}{{ $value = index $value . }}{{ end -}}
{{- $value = toString $value -}}
{{- if regexMatch `^[0-9]*[1-9][0-9]*$` $value -}}
{{- fail (printf "%s %s has no unit: type %ss for seconds, %sm for minutes or %sh for hours" .name $value $value $value $value) -}}
{{- end -}}
{{- if and (ne .name "drainDelay") (regexMatch `^(0+(\.0+)?(ms|s|m|h)?)+$` $value) -}}
{{- fail (printf "%s %s is no time at all: type a longer duration, such as 5m or 1h30m" .name $value) -}}
{{- end -}}
{{- if not (regexMatch `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$` $value) -}}
{{- fail (printf "%s %q is not a duration: type a number with a unit, such as 5m or 1h30m" .name $value) -}}
{{- end -}}
{{- $value -}}
{{- end }}

{{- define "signet.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{/* Never changes between upgrades: a Deployment's selector is immutable. */}}
{{- define "signet.selectorLabels" -}}
app.kubernetes.io/name: {{ include "signet.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Of the pod of `helm test`: another name, so that nothing that selects the operator's pods has it. */}}
{{- define "signet.testSelectorLabels" -}}
app.kubernetes.io/name: {{ include "signet.name" . }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "signet.labels" -}}
{{ include "signet.selectorLabels" . }}
{{ include "signet.sharedLabels" . }}
{{- end }}

{{/* Not managed-by: signet, which marks what the controller writes. */}}
{{- define "signet.sharedLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: {{ .Chart.Name }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What the pod and every container may do: nothing (Pod Security Standard "restricted"). */}}
{{- define "signet.podSecurityContext" -}}
runAsNonRoot: true
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "signet.containerSecurityContext" -}}
allowPrivilegeEscalation: false
capabilities:
  drop: [ALL]
readOnlyRootFilesystem: true
{{- end }}

{{/*
Of a container whose telemetry listens on the port named. /healthz is answered by every process
whose event loop turns, /readyz by one that can do its work. So a pod is restarted for a loop that
is stuck and for nothing else; one that waits for a permission or for the API server only waits.
*/}}
{{- define "signet.probes" -}}
startupProbe:
  httpGet: { path: /healthz, port: {{ . }} }
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 60
livenessProbe:
  httpGet: { path: /healthz, port: {{ . }} }
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: { path: /readyz, port: {{ . }} }
  periodSeconds: 5
  timeoutSeconds: 5
{{- end }}

{{/* The duration at the path given, in whole seconds. */}}
{{- define "signet.seconds" -}}
{{- $units := dict "ms" 0.001 "s" 1.0 "m" 60.0 "h" 3600.0 -}}
{{- $sum := 0.0 -}}
{{- range regexFindAll `[0-9.]+(ms|s|m|h)` (include "signet.duration" .) -1 -}}
{{- $sum = addf $sum (mulf (float64 (regexFind `[0-9.]+` .)) (get $units (regexFind `[a-z]+` .))) -}}
{{- end -}}
{{- int64 $sum -}}
{{- end }}

{{/* Of an alert: where the page and heading given stand in the docs, if that was said. */}}
{{- define "signet.runbook" -}}
{{- $root := first . -}}
{{- with $root.Values.prometheusRule.docsUrl -}}
runbook_url: {{ printf "%s/%s" (trimSuffix "/" .) (last $) | quote }}
{{- end -}}
{{- end }}
