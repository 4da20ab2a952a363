"""Whose law a provider stands under: the country of the company that its own terms name, ISO 3166-1.

An outage, a court's order, an export rule or a sanction may reach everybody of one country at once, whatever
their names and wherever their machines stand. Told is only what a document of the company's own says, named
beside. Who is absent is not told: no document was found, or the terms name a subsidiary in one country of a
company of another, so that neither alone would be the truth. An operator who knows says so
(`[provider.NAME] jurisdiction`). Of a provider that is not told the cloud's country counts, where that is:
whoever runs the machines can be told to stop them.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Home(NamedTuple):
    country: str
    source: str


_AMAZON = Home("US", "https://www.sec.gov/cgi-bin/browse-edgar?action=getcompany&CIK=1018724&type=10-K")
_ALPHABET = Home("US", "https://www.sec.gov/cgi-bin/browse-edgar?action=getcompany&CIK=1652044&type=10-K")
_MICROSOFT = Home("US", "https://www.sec.gov/cgi-bin/browse-edgar?action=getcompany&CIK=789019&type=10-K")
_IBM = Home("US", "https://www.sec.gov/cgi-bin/browse-edgar?action=getcompany&CIK=51143&type=10-K")
_CLOUDFLARE = Home("US", "https://www.sec.gov/cgi-bin/browse-edgar?action=getcompany&CIK=1477333&type=10-K")
_SCALEWAY = Home("FR", "https://www.scaleway.com/en/legal-notice/")
_OVH = Home("FR", "https://www.ovhcloud.com/en/terms-and-conditions/")
_NEBIUS = Home("NL", "https://docs.studio.nebius.com/legal/terms-of-service")

HOMES: Mapping[str, Home] = {
    "openai": Home("US", "https://openai.com/policies/services-agreement/"),
    "anthropic": Home("US", "https://www.anthropic.com/legal/commercial-terms"),
    "bedrock": _AMAZON,
    "bedrockanthropic": _AMAZON,
    "bedrockopenai": _AMAZON,
    "sagemaker": _AMAZON,
    "azure": _MICROSOFT,
    "gemini": _ALPHABET,
    "vertex": _ALPHABET,
    "vertexanthropic": _ALPHABET,
    "vertexopenai": _ALPHABET,
    "mistral": Home("FR", "https://mistral.ai/terms"),
    "groq": Home("US", "https://console.groq.com/docs/legal/services-agreement"),
    "together": Home("US", "https://www.together.ai/terms-of-service"),
    "fireworks": Home("US", "https://fireworks.ai/terms-of-service"),
    "deepseek": Home("CN", "https://cdn.deepseek.com/policies/en-US/deepseek-privacy-policy.html"),
    "xai": Home("US", "https://x.ai/legal/terms-of-service-enterprise"),
    "openrouter": Home("US", "https://openrouter.ai/terms"),
    "nvidia": Home("US", "https://www.sec.gov/cgi-bin/browse-edgar?action=getcompany&CIK=1045810&type=10-K"),
    "cerebras": Home("US", "https://cerebras.ai/terms-of-service"),
    "huggingface": Home("US", "https://huggingface.co/terms-of-service"),
    "nebius": _NEBIUS,
    "cohere": Home("CA", "https://cohere.com/saas-agreement"),
    "cloudflare": _CLOUDFLARE,
    "databricks": Home("US", "https://www.databricks.com/legal/mcsa"),
    "scaleway": _SCALEWAY,
    "ovhcloud": _OVH,
    "vercel": Home("US", "https://vercel.com/legal/terms"),
    "watsonx": _IBM,
}
"""Provider -> its home."""

CLOUD_HOMES: Mapping[str, Home] = {
    "AWS": _AMAZON,
    "AWS China": Home("CN", "https://www.amazonaws.cn/en/about-aws/china/"),
    "Azure": _MICROSOFT,
    "Azure Government": _MICROSOFT,
    "Google Cloud": _ALPHABET,
    "IBM Cloud": _IBM,
    "Oracle Cloud": Home(
        "US", "https://www.sec.gov/cgi-bin/browse-edgar?action=getcompany&CIK=1341439&type=10-K"
    ),
    "OVHcloud": _OVH,
    "Scaleway": _SCALEWAY,
    "Nebius": _NEBIUS,
    "Cloudflare": _CLOUDFLARE,
}
"""Cloud, as `whereabouts` names it -> its home."""


def home_of(provider: str, cloud: str | None) -> str | None:
    """The country, None where it is not told."""
    found = HOMES.get(provider) or CLOUD_HOMES.get(cloud or "")
    return found.country if found is not None else None
