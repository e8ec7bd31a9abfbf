"""Pods on EKS, GKE, AKS, OpenShift, k3s, kind and minikube."""

from __future__ import annotations

from dbambassador.reflection.certificates import fingerprints
from dbambassador.reflection.dmi import AZURE_TAG
from tests.reflection.captures.capture import (
    CONTAINERD,
    CRI_O,
    DOCKER,
    HINT,
    STRONG,
    Capture,
    Table,
    firmware,
)
from tests.reflection.places import ACCOUNT, AUTHORITY, OTHER_AUTHORITY, Place
from tests.reflection.tokens import token

KUBERNETES = (
    "https://kubernetes.io/docs/concepts/storage/projected-volumes/",
    "https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/",
    "https://kubernetes.io/docs/reference/access-authn-authz/service-accounts-admin/",
)

CA = AUTHORITY.cert_pem.bytes()
DEFAULT_ISSUER = "https://kubernetes.default.svc.cluster.local"

IN_EVERY_POD: Table = {
    "dbambassador.platform": ("kubernetes", STRONG),
    "dbambassador.k8s.ca.sha256": (fingerprints(CA)[0], STRONG),
    "dbambassador.k8s.cluster.domain": ("cluster.local", HINT),
    "k8s.namespace.name": ("shop", STRONG),
    "k8s.pod.name": ("orders-0", STRONG),
    "k8s.pod.uid": ("5e0bd49b-f040-43b0-99b7-22765a53f7f3", STRONG),
    "k8s.node.uid": ("646e7c5e-32d6-4d42-9dbd-e504e6cbe6b1", STRONG),
    "container.runtime": ("containerd", HINT),
    "host.name": ("orders-0", HINT),
}


def pod(
    node: str,
    *more: dict[str, str],
    issuer: str = DEFAULT_ISSUER,
    authorities: bytes = CA,
    node_in_token: bool = True,
    domain: str = "cluster.local",
    service: str = "10.96.0.1",
) -> Place:
    """What the kubelet gives every pod with default settings, and nothing that a person adds."""
    files: dict[str, str | bytes] = {
        f"{ACCOUNT}/namespace": "shop",
        f"{ACCOUNT}/ca.crt": authorities,
        f"{ACCOUNT}/token": token(issuer, node=node if node_in_token else None),
        "etc/hosts": "# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n10.244.3.17\torders-0\n",
        "etc/hostname": "orders-0\n",
        "etc/resolv.conf": (
            f"search shop.svc.{domain} svc.{domain} {domain}\nnameserver 10.96.0.10\noptions ndots:5\n"
        ),
    }
    for each in more:
        files |= each
    return Place(
        files, environ={"KUBERNETES_SERVICE_HOST": service, "KUBERNETES_SERVICE_PORT": "443", "PATH": "/bin"}
    )


EKS = Capture(
    "eks",
    (
        *KUBERNETES,
        "https://docs.aws.amazon.com/eks/latest/userguide/enable-iam-roles-for-service-accounts.html",
        "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/identify_ec2_instances.html",
    ),
    pod(
        "ip-10-0-3-17.eu-west-1.compute.internal",
        CONTAINERD,
        firmware("Amazon EC2", "m6i.large", tag="Amazon EC2"),
        issuer="https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE",
        service="172.20.0.1",
    ),
    {
        **IN_EVERY_POD,
        "k8s.node.name": ("ip-10-0-3-17.eu-west-1.compute.internal", STRONG),
        "cloud.provider": ("aws", HINT),
        "cloud.platform": ("aws_eks", HINT),
        "cloud.region": ("eu-west-1", HINT),
        "host.type": ("m6i.large", HINT),
    },
    absent=("dbambassador.compose.project",),
    unknown=("cloud.account.id", "cloud.availability_zone", "k8s.node.label.team", "k8s.cluster.name"),
)

GKE = Capture(
    "gke",
    (
        *KUBERNETES,
        "https://cloud.google.com/kubernetes-engine/docs/how-to/workload-identity",
        "https://cloud.google.com/compute/docs/instances/detect-compute-engine",
        "https://kep.k8s.io/4742",
    ),
    pod(
        "gke-main-pool-1-0f1e2d3c-xk2p",
        CONTAINERD,
        firmware("Google", "Google Compute Engine"),
        {
            "etc/podinfo/labels": (
                'app.kubernetes.io/name="orders"\ntopology.kubernetes.io/region="europe-west1"\n'
                'topology.kubernetes.io/zone="europe-west1-b"'
            )
        },
        issuer="https://container.googleapis.com/v1/projects/shop-prod/locations/europe-west1/clusters/main",
        service="34.118.224.1",
    ),
    {
        **IN_EVERY_POD,
        "k8s.node.name": ("gke-main-pool-1-0f1e2d3c-xk2p", STRONG),
        "k8s.cluster.name": ("main", HINT),
        "k8s.pod.label.app.kubernetes.io/name": ("orders", STRONG),
        "k8s.pod.label.topology.kubernetes.io/region": ("europe-west1", STRONG),
        "k8s.pod.label.topology.kubernetes.io/zone": ("europe-west1-b", STRONG),
        "cloud.provider": ("gcp", HINT),
        "cloud.platform": ("gcp_kubernetes_engine", HINT),
        "cloud.account.id": ("shop-prod", HINT),
        "cloud.region": ("europe-west1", HINT),
        "cloud.availability_zone": ("europe-west1-b", HINT),
    },
    absent=("k8s.pod.label.team", "dbambassador.compose.project"),
    unknown=("k8s.node.label.team", "k8s.pod.annotation.note"),
)

AKS = Capture(
    "aks",
    (
        *KUBERNETES,
        "https://learn.microsoft.com/azure/aks/use-oidc-issuer",
        "https://github.com/canonical/cloud-init/blob/main/tools/ds-identify (chassis_asset_tag)",
    ),
    pod(
        "aks-nodepool1-12345678-vmss000000",
        CONTAINERD,
        firmware("Microsoft Corporation", "Virtual Machine", tag=AZURE_TAG),
        issuer="https://westeurope.oic.prod-aks.azure.com/00000000-0000-0000-0000-000000000000"
        "/11111111-1111-1111-1111-111111111111/",
        service="10.0.0.1",
    ),
    {
        **IN_EVERY_POD,
        "k8s.node.name": ("aks-nodepool1-12345678-vmss000000", STRONG),
        "cloud.provider": ("azure", HINT),
        "cloud.platform": ("azure.aks", HINT),
        "cloud.region": ("westeurope", HINT),
    },
    unknown=("cloud.account.id", "dbambassador.host.hypervisor"),
)

BUNDLE = CA + OTHER_AUTHORITY.cert_pem.bytes()

OPENSHIFT = Capture(
    "openshift",
    (
        *KUBERNETES,
        "https://docs.redhat.com/en/documentation/openshift_container_platform (certificates, CRI-O)",
    ),
    pod(
        "worker-0.ocp.example.com",
        CRI_O,
        firmware("VMware, Inc.", "VMware7,1"),
        issuer="https://kubernetes.default.svc",
        authorities=BUNDLE,
        service="172.30.0.1",
    ),
    {
        **IN_EVERY_POD,
        "dbambassador.k8s.ca.sha256": (", ".join(sorted(fingerprints(BUNDLE))), STRONG),
        "k8s.node.name": ("worker-0.ocp.example.com", STRONG),
        "container.runtime": ("cri-o", HINT),
        "dbambassador.host.hypervisor": ("vmware", HINT),
    },
    unknown=("cloud.provider", "cloud.region", "dbambassador.k8s.distribution"),
)

K3S = Capture(
    "k3s",
    (*KUBERNETES, "https://docs.k3s.io/advanced (containerd below /var/lib/rancher/k3s/agent)"),
    pod(
        "box-1",
        {
            "proc/self/mountinfo": (
                "24 1 0:312 / / rw,relatime - overlay overlay rw,"
                "lowerdir=/var/lib/rancher/k3s/agent/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots/4/fs\n"
            )
        },
        firmware("Supermicro", "SYS-5019", bios="American Megatrends Inc."),
        # Its server is older than the node in the token's claims.
        node_in_token=False,
        service="10.43.0.1",
    ),
    {name: found for name, found in IN_EVERY_POD.items() if name != "k8s.node.uid"},
    unknown=("k8s.node.name", "cloud.provider", "dbambassador.host.hypervisor"),
)

KIND = Capture(
    "kind",
    (
        *KUBERNETES,
        "https://github.com/kubernetes-sigs/kind images/base/files/usr/local/bin/entrypoint (product_name)",
    ),
    # The machine under it is somebody's laptop.
    pod("kind-control-plane", CONTAINERD, firmware("LENOVO", "kind")),
    {
        **IN_EVERY_POD,
        "k8s.node.name": ("kind-control-plane", STRONG),
        "dbambassador.k8s.distribution": ("kind", HINT),
    },
    unknown=("cloud.provider", "dbambassador.host.hypervisor"),
)

MINIKUBE = Capture(
    "minikube",
    (
        *KUBERNETES,
        "https://minikube.sigs.k8s.io/docs/drivers/kvm2/",
        "https://minikube.sigs.k8s.io/docs/runtimes/ (docker)",
    ),
    pod("minikube", DOCKER, firmware("QEMU", "Standard PC (Q35 + ICH9, 2009)", bios="SeaBIOS")),
    {
        **IN_EVERY_POD,
        "k8s.node.name": ("minikube", STRONG),
        "container.runtime": ("docker", HINT),
        "dbambassador.host.hypervisor": ("qemu", HINT),
    },
    unknown=("cloud.provider",),
)

SELF_MANAGED = Capture(
    "kubernetes-on-ec2",
    (
        *KUBERNETES,
        "https://kubernetes.io/docs/setup/production-environment/tools/kubeadm/",
        "https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/identify_ec2_instances.html",
    ),
    pod("ip-10-0-3-17", CONTAINERD, firmware("Amazon EC2", "m6i.large", tag="Amazon EC2")),
    {
        **IN_EVERY_POD,
        "k8s.node.name": ("ip-10-0-3-17", STRONG),
        "cloud.provider": ("aws", HINT),
        "host.type": ("m6i.large", HINT),
    },
    # The platform is Kubernetes; what runs the machine under it is none of its names.
    unknown=("cloud.platform", "cloud.region", "cloud.account.id"),
)

KNATIVE = Capture(
    "knative",
    (*KUBERNETES, "https://github.com/knative/specs/blob/main/specs/serving/runtime-contract.md"),
    Place(
        pod("worker-3", CONTAINERD).files,
        environ={
            "KUBERNETES_SERVICE_HOST": "10.96.0.1",
            "K_SERVICE": "orders",
            "K_REVISION": "orders-00001",
            "K_CONFIGURATION": "orders",
        },
    ),
    {**IN_EVERY_POD, "k8s.node.name": ("worker-3", STRONG)},
    unknown=("cloud.provider", "cloud.platform"),
)

CAPTURES = (EKS, GKE, AKS, OPENSHIFT, K3S, KIND, MINIKUBE, SELF_MANAGED, KNATIVE)
