"""The resources of Kubernetes v1.36 that are served here, as data.

One line per resource: group/version, plural, kind, scope (N namespaced, C cluster), short names,
categories, verbs (* all, d without deletecollection), subresources, flags. `-` means none.
Flags: g the object has a generation; r a delete answers with the object instead of a Status.
"""
# ruff: noqa: E501 - one resource per line

TABLE = """
v1 bindings Binding N - - create - -
v1 componentstatuses ComponentStatus C cs - get,list - -
v1 configmaps ConfigMap N cm - * - -
v1 endpoints Endpoints N ep - * - -
v1 events Event N ev - * - -
v1 limitranges LimitRange N limits - * - -
v1 namespaces Namespace C ns - d finalize,status -
v1 nodes Node C no - * proxy,status -
v1 persistentvolumeclaims PersistentVolumeClaim N pvc - * status r
v1 persistentvolumes PersistentVolume C pv - * status r
v1 pods Pod N po all * POD gr
v1 podtemplates PodTemplate N - - * - gr
v1 replicationcontrollers ReplicationController N rc all * scale,status g
v1 resourcequotas ResourceQuota N quota - * status r
v1 secrets Secret N - - * - -
v1 serviceaccounts ServiceAccount N sa - * token r
v1 services Service N svc all * proxy,status r
admissionregistration.k8s.io/v1 mutatingadmissionpolicies MutatingAdmissionPolicy C - - * - g
admissionregistration.k8s.io/v1 mutatingadmissionpolicybindings MutatingAdmissionPolicyBinding C - - * - g
admissionregistration.k8s.io/v1 mutatingwebhookconfigurations MutatingWebhookConfiguration C - api-extensions * - g
admissionregistration.k8s.io/v1 validatingadmissionpolicies ValidatingAdmissionPolicy C - api-extensions * status g
admissionregistration.k8s.io/v1 validatingadmissionpolicybindings ValidatingAdmissionPolicyBinding C - api-extensions * - g
admissionregistration.k8s.io/v1 validatingwebhookconfigurations ValidatingWebhookConfiguration C - api-extensions * - g
apiextensions.k8s.io/v1 customresourcedefinitions CustomResourceDefinition C crd,crds api-extensions * status g
apiregistration.k8s.io/v1 apiservices APIService C - api-extensions * status -
apps/v1 controllerrevisions ControllerRevision N - - * - -
apps/v1 daemonsets DaemonSet N ds all * status g
apps/v1 deployments Deployment N deploy all * scale,status g
apps/v1 replicasets ReplicaSet N rs all * scale,status g
apps/v1 statefulsets StatefulSet N sts all * scale,status g
authentication.k8s.io/v1 selfsubjectreviews SelfSubjectReview C - - create - -
authentication.k8s.io/v1 tokenreviews TokenReview C - - create - -
authorization.k8s.io/v1 localsubjectaccessreviews LocalSubjectAccessReview N - - create - -
authorization.k8s.io/v1 selfsubjectaccessreviews SelfSubjectAccessReview C - - create - -
authorization.k8s.io/v1 selfsubjectrulesreviews SelfSubjectRulesReview C - - create - -
authorization.k8s.io/v1 subjectaccessreviews SubjectAccessReview C - - create - -
autoscaling/v2 horizontalpodautoscalers HorizontalPodAutoscaler N hpa all * status -
autoscaling/v1 horizontalpodautoscalers HorizontalPodAutoscaler N hpa all * status -
batch/v1 cronjobs CronJob N cj all * status g
batch/v1 jobs Job N - all * status g
certificates.k8s.io/v1 certificatesigningrequests CertificateSigningRequest C csr - * approval,status -
coordination.k8s.io/v1 leases Lease N - - * - -
discovery.k8s.io/v1 endpointslices EndpointSlice N - - * - g
events.k8s.io/v1 events Event N ev - * - -
flowcontrol.apiserver.k8s.io/v1 flowschemas FlowSchema C - - * status g
flowcontrol.apiserver.k8s.io/v1 prioritylevelconfigurations PriorityLevelConfiguration C - - * status g
networking.k8s.io/v1 ingressclasses IngressClass C - - * - g
networking.k8s.io/v1 ingresses Ingress N ing - * status g
networking.k8s.io/v1 ipaddresses IPAddress C ip - * - -
networking.k8s.io/v1 networkpolicies NetworkPolicy N netpol - * - g
networking.k8s.io/v1 servicecidrs ServiceCIDR C - - * status -
node.k8s.io/v1 runtimeclasses RuntimeClass C - - * - -
policy/v1 poddisruptionbudgets PodDisruptionBudget N pdb - * status g
rbac.authorization.k8s.io/v1 clusterrolebindings ClusterRoleBinding C - - * - -
rbac.authorization.k8s.io/v1 clusterroles ClusterRole C - - * - -
rbac.authorization.k8s.io/v1 rolebindings RoleBinding N - - * - -
rbac.authorization.k8s.io/v1 roles Role N - - * - -
resource.k8s.io/v1 deviceclasses DeviceClass C - - * - g
resource.k8s.io/v1 resourceclaims ResourceClaim N - - * status -
resource.k8s.io/v1 resourceclaimtemplates ResourceClaimTemplate N - - * - -
resource.k8s.io/v1 resourceslices ResourceSlice C - - * - g
scheduling.k8s.io/v1 priorityclasses PriorityClass C pc - * - g
storage.k8s.io/v1 csidrivers CSIDriver C - - * - -
storage.k8s.io/v1 csinodes CSINode C - - * - -
storage.k8s.io/v1 csistoragecapacities CSIStorageCapacity N - - * - -
storage.k8s.io/v1 storageclasses StorageClass C sc - * - r
storage.k8s.io/v1 volumeattachments VolumeAttachment C - - * status -
storage.k8s.io/v1 volumeattributesclasses VolumeAttributesClass C vac - * - -
"""

DEPRECATED = {
    "v1 ComponentStatus": "v1 ComponentStatus is deprecated in v1.19+",
    "v1 Endpoints": ("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
}
"""What clients of deprecated kinds are told."""

POD_SUBRESOURCES = (
    "attach,binding,ephemeralcontainers,eviction,exec,log,portforward,proxy,resize,status"
)

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")

_CHANGE = ("get", "patch", "update")
_STREAM = ("create", "get")
_PROXY = ("create", "delete", "get", "patch", "update")

SUBRESOURCES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    # name: (group/version of its kind or "" for the parent's, kind or "" for the parent's, verbs)
    "approval": ("", "", _CHANGE),
    "attach": ("", "PodAttachOptions", _STREAM),
    "binding": ("", "Binding", ("create",)),
    "ephemeralcontainers": ("", "", _CHANGE),
    "eviction": ("policy/v1", "Eviction", ("create",)),
    "exec": ("", "PodExecOptions", _STREAM),
    "finalize": ("", "", ("update",)),
    "log": ("", "", ("get",)),
    "portforward": ("", "PodPortForwardOptions", _STREAM),
    "proxy": ("", "{}ProxyOptions", _PROXY),
    "resize": ("", "", _CHANGE),
    "scale": ("autoscaling/v1", "Scale", _CHANGE),
    "status": ("", "", _CHANGE),
    "token": ("authentication.k8s.io/v1", "TokenRequest", ("create",)),
}
