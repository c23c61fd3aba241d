{{/*
What another release in this cluster makes impossible; asked of the cluster, so `helm template` knows
nothing of it. Two controllers that see to the same sets would undo each other's writes.
*/}}
{{- define "signet.onlyOne" -}}
{{- include "signet.namesAreFree" . -}}
{{- $root := . -}}
{{- range (lookup "rbac.authorization.k8s.io/v1" "ClusterRoleBinding" "" "").items -}}
{{- $labels := .metadata.labels | default dict -}}
{{- if and (eq (get $labels "app.kubernetes.io/part-of") $root.Chart.Name) (eq (get $labels "app.kubernetes.io/component") "controller") -}}
{{- $there := get (first (append (.subjects | default list) dict)) "namespace" -}}
{{- range (lookup "apps/v1" "Deployment" $there "").items -}}
{{- $labels := .metadata.labels | default dict -}}
{{- $release := get $labels "app.kubernetes.io/instance" -}}
{{- $isOther := or (ne $release $root.Release.Name) (ne $there $root.Release.Namespace) -}}
{{- if and $isOther (eq (get $labels "app.kubernetes.io/part-of") $root.Chart.Name) -}}
{{- $name := printf "release %s in namespace %s" $release $there -}}
{{- if eq $there $root.Release.Namespace -}}
{{- fail (printf "%s shares its Leases and Secrets with all that is there: type -n <another namespace>, or uninstall it first" $name) -}}
{{- end -}}
{{- $scope := include "signet.scope" . | fromJsonArray -}}
{{- if not (and $scope $root.Values.watchNamespaces) -}}
{{- $all := ternary "this one would see" (printf "%s sees" $name) (not $root.Values.watchNamespaces) -}}
{{- fail (printf "%s is there, and %s to the sets of all namespaces: two controllers undo each other's writes. Type watchNamespaces for both, without a namespace in common, or uninstall one" $name $all) -}}
{{- end -}}
{{- range $scope -}}
{{- if has . $root.Values.watchNamespaces -}}
{{- fail (printf "%s sees to the sets of namespace %s already: two controllers undo each other's writes. Leave %s out of watchNamespaces of one of them" $name . .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The namespaces that the Deployment given watches, as JSON; empty: all. */}}
{{- define "signet.scope" -}}
{{- $scope := list -}}
{{- range .spec.template.spec.containers -}}
{{- range .args -}}
{{- if hasPrefix "--watch-namespaces=" . }}{{ $scope = splitList "," (trimPrefix "--watch-namespaces=" .) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- toJson $scope -}}
{{- end }}

{{/* Helm would say it less plainly. What somebody else made, `--take-ownership` may take. */}}
{{- define "signet.namesAreFree" -}}
{{- $root := . -}}
{{- with lookup "rbac.authorization.k8s.io/v1" "ClusterRole" "" (include "signet.controller" .) -}}
{{- $annotations := .metadata.annotations | default dict -}}
{{- $release := get $annotations "meta.helm.sh/release-name" -}}
{{- $namespace := get $annotations "meta.helm.sh/release-namespace" -}}
{{- if and $release (or (ne $release $root.Release.Name) (ne $namespace $root.Release.Namespace)) -}}
{{- fail (printf "ClusterRole %s is of release %s in namespace %s: what has no namespace is named after the release. Type helm install <another name>, or set fullnameOverride" .metadata.name $release $namespace) -}}
{{- end -}}
{{- end -}}
{{- end }}
