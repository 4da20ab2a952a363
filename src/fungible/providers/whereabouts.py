"""Where a provider's address is: its cloud and its region, as far as the address itself says.

A cloud is told by a domain that only that cloud gives out; a region by the part of the host's name, or of
the model's, that the cloud documents. What the address does not say is None, which is not `elsewhere`: most
providers do not tell where they run. An operator who knows says so (`[provider.NAME] cloud`, `region`).
"""

import re

OWN_MACHINES = "own machines"

CLOUDS: tuple[tuple[str, str], ...] = (
    # (domain, cloud); the first whose domain the host ends in
    ("amazonaws.com", "AWS"),
    ("amazonaws.com.cn", "AWS China"),
    ("aws", "AWS"),
    ("azuredatabricks.net", "Azure"),
    ("azure.com", "Azure"),
    ("azure.us", "Azure Government"),
    ("windows.net", "Azure"),
    ("azurecontainerapps.io", "Azure"),
    ("gcp.databricks.com", "Google Cloud"),
    ("cloud.databricks.com", "AWS"),
    ("googleapis.com", "Google Cloud"),
    ("run.app", "Google Cloud"),
    ("aliyuncs.com", "Alibaba Cloud"),
    ("cloud.ibm.com", "IBM Cloud"),
    ("oraclecloud.com", "Oracle Cloud"),
    ("ovh.net", "OVHcloud"),
    ("scaleway.ai", "Scaleway"),
    ("nebius.com", "Nebius"),
    ("cloudflare.com", "Cloudflare"),
)
"""Of Databricks' domains: a workspace on AWS, on Azure and on Google Cloud has one of its own each
(docs.databricks.com/workspace/workspace-details, "Workspace instance names, URLs, and IDs")."""

IN_HOST: tuple[tuple[re.Pattern[str], str], ...] = (
    # AWS: service.region.amazonaws.com (docs.aws.amazon.com/general/latest/gr/rande.html)
    (re.compile(r"\.([a-z]{2}(?:-[a-z]+)+-\d)\.(?:[a-z0-9]+\.)?amazonaws\.com"), "{}"),
    # Google: region-aiplatform.googleapis.com (cloud.google.com/vertex-ai/docs/general/locations)
    (re.compile(r"^([a-z]+-[a-z]+\d+)-aiplatform\.googleapis\.com$"), "{}"),
    # IBM: region.ml.cloud.ibm.com (cloud.ibm.com/apidocs/watsonx-ai)
    (re.compile(r"^([a-z]{2}-[a-z]+)\.ml\.cloud\.ibm\.com$"), "{}"),
)
GEOGRAPHY = re.compile(r"^(us|us-gov|eu|apac|jp|au|ca|global)\.[a-z0-9-]+\.")
"""A cross-region inference profile: the call may be answered anywhere in that part of the world
(docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html)."""


def cloud_of(host: str) -> str | None:
    """The cloud whose domain the host lies in."""
    return next((cloud for domain, cloud in CLOUDS if host == domain or host.endswith(f".{domain}")), None)


def region_of(host: str, model: str) -> str | None:
    """The region that the host's name tells; where the model's name asks for a geography, that."""
    for pattern, text in IN_HOST:
        found = pattern.search(host)
        if found is not None:
            wide = GEOGRAPHY.match(model)
            return f"{wide[1]} (any region)" if wide is not None else text.format(found[1])
    return None
