{{- /* What the admission policies of the two DaemonSets have in common. */ -}}

{{- define "from" -}}
- name: from-a-pod-of-{{ index . 0 }}
  expression: request.userInfo.username == "system:serviceaccount:{{ index . 1 }}:{{ index . 0 }}"
{{- end }}

{{- /* The node that the pod's token was made for, in a list; an empty one for any other token. */ -}}
{{- define "its-own-node" -}}
request.userInfo.extra[?'authentication.kubernetes.io/node-name'].orValue([])
{{- end }}

{{- define "binding" -}}
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {{ index . 0 }}
  labels:
    {{- include "labels" (index . 1) | nindent 4 }}
spec:
  policyName: {{ index . 0 }}
  validationActions: [Deny]
{{- end }}

{{- /* For a service account that changes one label of its own node, and nothing else of any. */ -}}
{{- define "labels-its-own-node" -}}
{{- $account := index . 0 }}
{{- $label := index . 1 }}
{{- $root := index . 2 -}}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
      - apiGroups: [""]
        apiVersions: [v1]
        resources: [nodes]
        operations: [UPDATE]
  matchConditions:
    {{- include "from" (list $account $root.Release.Namespace) | nindent 4 }}
  variables:
    - name: ours
      expression: "'{{ $label }}'"
    - name: before
      expression: oldObject.metadata.?labels.orValue({})
    - name: after
      expression: object.metadata.?labels.orValue({})
  validations:
    - expression: >-
        {{ include "its-own-node" $root }} == [request.name]
      message: {{ $account }} labels no node but its own
    - expression: >-
        variables.after.all(key, key == variables.ours || variables.before[?key] == optional.of(variables.after[key]))
        && variables.before.all(key, key == variables.ours || key in variables.after)
      message: {{ $account }} changes no label of a node but {{ $label }}
    - expression: >-
        object.spec == oldObject.spec
        && object.metadata.?annotations == oldObject.metadata.?annotations
        && object.metadata.?finalizers == oldObject.metadata.?finalizers
        && object.metadata.?ownerReferences == oldObject.metadata.?ownerReferences
      message: {{ $account }} changes nothing of a node but its label
{{- end }}
