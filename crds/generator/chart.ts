const METADATA = /^metadata:\n {2}name: (\S+)\n/m;

/**
 * The CRD as a template of the chart: Helm never upgrades what lies in a chart's crds/ folder.
 *
 * @throws Error when the CRD has what Helm would take for a template.
 */
export function renderChartTemplate(crd: string): string {
  if (crd.includes('{{')) throw new Error('the CRD contains {{, which Helm would expand');
  if (!METADATA.test(crd)) throw new Error('the CRD does not begin with metadata and name alone');
  const body = crd.replace(/^(#.*\n)+/, '').replace(
    METADATA,
    (_, name: string) => `metadata:
  name: ${name}
  labels:
    {{- include "signet.labels" . | nindent 4 }}
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
`,
  );
  return `{{- /* Generated from crds/ by npm run generate. Do not edit. */ -}}
{{- if .Values.crds.enabled }}
${body}{{- end }}
`;
}
