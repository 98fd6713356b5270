"""The rules of a well-kept scanner of secrets as a second opinion: how many of the forms that it knows are redacted.

The table holds one form per rule of the default rules of gitleaks (https://github.com/gitleaks/gitleaks, read on
2026-11-28), in words of our own; the examples are made as the test runs. Where a rule goes by the name of a product and
the look of the value, the example is an assignment as the scanner's own samples are: ``NAME_TOKEN = "value"``.
"""

from __future__ import annotations

import re

import pytest

from kubetriage.redact import MARK, clean
from redact.templates import filled
from support.offline import ROOT

BY_FORM = """
1password-secret-key A3-{A0:6}-{A0:11}-{A0:5}-{A0:5}-{A0:5}
1password-service-account-token ops_eyJ{aA0:260}
adobe-client-secret p8e-{a0:32}
age-secret-key AGE-SECRET-KEY-1{A0:58}
alibaba-access-key-id LTAI{aA0:20}
anthropic-admin-api-key sk-ant-admin01-{aA0_:93}AA
anthropic-api-key sk-ant-api03-{aA0_:93}AA
artifactory-api-key AKCp{aA0:69}
artifactory-reference-token cmVmd{aA0:59}
atlassian-api-token ATATT3{aA0_:186}
authress-service-client-access-key sc_{a0:12}.{a0:5}.acc-{a0:16}.{aA0:40}
aws-access-token AKIA{A0:16}
azure-ad-client-secret abc8Q~{aA0_:34}
clickhouse-cloud-api-secret-key 4b1d{aA0:38}
clojars-api-token CLOJARS_{a0:60}
cloudflare-origin-ca-key v1.0-{h:24}-{h:146}
curl-auth-header curl^-H^"Authorization:^Bearer^{aA0:40}"^https://x
curl-auth-user curl^-u^"admin:{aA0:12}"^https://x
databricks-api-token dapi{h:32}
digitalocean-access-token doo_v1_{h:64}
digitalocean-pat dop_v1_{h:64}
digitalocean-refresh-token dor_v1_{h:64}
doppler-api-token dp.pt.{aA0:43}
duffel-api-token duffel_live_{a0_:43}
dynatrace-api-token dt0c01.{A0:24}.{A0:64}
easypost-api-token EZAK{aA0:54}
easypost-test-api-token EZTK{aA0:54}
facebook-access-token {0:15}|{aA0:30}
facebook-page-access-token EAAM{aA0:120}
flutterwave-encryption-key FLWSECK_TEST-{h:12}
flutterwave-public-key !FLWPUBK_TEST-{h:32}-X
flutterwave-secret-key FLWSECK_TEST-{h:32}-X
flyio-access-token fm2_{aA0:120}
frameio-api-token fio-u-{a0_:64}
gcp-api-key AIza{aA0_:35}
github-app-token ghs_{aA0:36}
github-fine-grained-pat github_pat_{aA0:82}
github-oauth gho_{aA0:36}
github-pat ghp_{aA0:36}
github-refresh-token ghr_{aA0:36}
gitlab-cicd-job-token glcbt-{aA0:3}_{aA0_:20}
gitlab-deploy-token gldt-{aA0_:20}
gitlab-feature-flag-client-token glffct-{aA0_:20}
gitlab-feed-token glft-{aA0_:20}
gitlab-incoming-mail-token glimt-{aA0_:25}
gitlab-kubernetes-agent-token glagent-{aA0_:50}
gitlab-oauth-app-secret gloas-{aA0_:64}
gitlab-pat glpat-{aA0_:20}
gitlab-pat-routable glpat-{aA0_:27}.{a0:9}
gitlab-ptt glptt-{h:40}
gitlab-rrt GR1348941{aA0_:20}
gitlab-runner-authentication-token glrt-{aA0_:20}
gitlab-runner-authentication-token-routable glrt-t1_{aA0_:27}.{a0:9}
gitlab-scim-token glsoat-{aA0_:20}
gitlab-session-cookie _gitlab_session={h:32}
grafana-api-key eyJrIjoi{aA0:80}
grafana-cloud-api-token glc_{aA0:40}
grafana-service-account-token glsa_{aA0:32}_{h:8}
harness-api-key pat.{aA0:22}.{h:24}.{aA0:20}
hashicorp-tf-api-token {a0:14}.atlasv1.{aA0_:65}
heroku-api-key-v2 HRKU-AA{aA0_:58}
huggingface-access-token hf_{aA:34}
huggingface-organization-api-token api_org_{aA:34}
infracost-api-token ico-{aA0:32}
intra42-client-secret s-s4t2ud-{h:64}
jwt eyJ{aA0:20}.eyJ{aA0:40}.{aA0_:43}
jwt-base64 ZXlKaGJHY2lPaU{aA0:80}
linear-api-key lin_api_{a0:40}
maxmind-license-key {aA0:6}_{aA0:29}_mmk
microsoft-teams-webhook https://a.webhook.office.com/webhookb2/{h:8}-{h:4}-{h:4}-{h:4}-{h:12}@{h:8}-{h:4}-{h:4}-{h:4}-{h:12}/IncomingWebhook/{h:32}/{h:8}-{h:4}-{h:4}-{h:4}-{h:12}
notion-api-token ntn_{0:11}{aA0:35}
npm-access-token npm_{a0:36}
octopus-deploy-api-key API-{A0:26}
openai-api-key sk-{aA0:20}T3BlbkFJ{aA0:20}
openshift-user-token sha256~{aA0_:43}
perplexity-api-key pplx-{aA0:48}
planetscale-api-token pscale_tkn_{aA0:43}
planetscale-oauth-token pscale_oauth_{aA0:43}
planetscale-password pscale_pw_{aA0:43}
postman-api-token PMAK-{h:24}-{h:34}
prefect-api-token pnu_{aA0:36}
private-key -----BEGIN^PRIVATE^KEY-----
pulumi-api-token pul-{h:40}
pypi-upload-token pypi-AgEIcHlwaS5vcmc{aA0_:80}
readme-api-token rdme_{a0:70}
rubygems-api-token rubygems_{h:48}
scalingo-api-token tk-us-{aA0_:48}
sendgrid-api-token SG.{aA0_:22}.{aA0_:43}
sendinblue-api-token xkeysib-{h:64}-{a0:16}
sentry-org-token sntrys_eyJpYXQiO{aA0:60}_{aA0:43}
sentry-user-token sntryu_{h:64}
settlemint-application-access-token sm_aat_{aA0:16}
settlemint-personal-access-token sm_pat_{aA0:16}
settlemint-service-access-token sm_sat_{aA0:16}
shippo-api-token shippo_live_{h:40}
shopify-access-token shpat_{h:32}
shopify-custom-access-token shpca_{h:32}
shopify-private-app-access-token shppa_{h:32}
shopify-shared-secret shpss_{h:32}
sidekiq-sensitive-url https://{h:8}:{h:8}@gems.contribsys.com
slack-app-token xapp-1-{A0:10}-{0:12}-{a0:64}
slack-bot-token xoxb-{0:12}-{0:12}-{aA0:24}
slack-config-access-token xoxe.xoxp-1-{A0:163}
slack-config-refresh-token xoxe-1-{A0:146}
slack-legacy-bot-token xoxb-{0:12}-{aA0:24}
slack-legacy-token xoxs-{0:10}-{0:10}-{0:10}-{h:32}
slack-legacy-workspace-token xoxa-2-{aA0:24}
slack-user-token xoxp-{0:12}-{0:12}-{0:12}-{aA0:32}
slack-webhook-url https://hooks.slack.com/services/T{A0:8}/B{A0:8}/{aA0:24}
sourcegraph-access-token sgp_{h:40}
square-access-token sq0atp-{aA0_:22}
stripe-access-token sk_live_{aA0:30}
twilio-api-key SK{h:32}
vault-batch-token hvb.{aA0_:140}
vault-service-token hvs.{aA0_:95}
"""
BY_NAME = """
adafruit-api-key {a0:32}
adobe-client-id !{h:32}
airtable-api-key {a0:17}
algolia-api-key {a0:32}
alibaba-secret-key {a0:30}
asana-client-id !{0:16}
asana-client-secret {a0:32}
beamer-api-token b_{a0_:44}
bitbucket-client-id !{a0:32}
bitbucket-client-secret {a0_:64}
bittrex-access-key {a0:32}
bittrex-secret-key {a0:32}
cisco-meraki-api-key {h:40}
cloudflare-api-key {a0_:40}
cloudflare-global-api-key {h:37}
codecov-access-token {a0:32}
cohere-api-token {aA0:40}
coinbase-access-token {a0_:64}
confluent-access-token {a0:16}
confluent-secret-key {a0:64}
contentful-delivery-api-token {a0_:43}
database-password {aA0:16}
datadog-access-token {a0:40}
defined-networking-api-token dnkey-{a0_:26}-{a0_:52}
discord-api-token {h:64}
discord-client-id !{0:18}
discord-client-secret {a0_:32}
droneci-access-token {a0:32}
dropbox-api-token {a0:15}
dropbox-long-lived-api-token {a0:11}AAAAAAAAAA{a0_:43}
dropbox-short-lived-api-token sl.{a0_:135}
etsy-access-token {a0:24}
facebook-secret {h:32}
fastly-api-token {a0_:32}
finicity-api-token {h:32}
finicity-client-secret {a0:20}
finnhub-access-token {a0:20}
flickr-access-token {a0:32}
freemius-secret-key sk_{aA0:29}
freshbooks-access-token {a0:64}
generic-api-key {aA0:32}
gitter-access-token {a0_:40}
gocardless-api-token live_{aA0_:40}
hashicorp-tf-password {aA0:16}
heroku-api-key {h:8}-{h:4}-{h:4}-{h:4}-{h:12}
hubspot-api-key {h:8}-{h:4}-{h:4}-{h:4}-{h:12}
intercom-api-key {a0_:60}
jfrog-api-key {a0:73}
jfrog-identity-token {a0:64}
kraken-access-token {a0+:88}
kucoin-access-token {h:24}
kucoin-secret-key {h:8}-{h:4}-{h:4}-{h:4}-{h:12}
launchdarkly-access-token {a0_:40}
linear-client-secret {h:32}
linkedin-client-id !{a0:14}
linkedin-client-secret {a0:16}
lob-api-key live_{h:35}
lob-pub-api-key !live_pub_{h:31}
mailchimp-api-key {h:32}-us12
mailgun-private-api-token key-{h:32}
mailgun-pub-key !pubkey-{h:32}
mailgun-signing-key {h:32}-{h:8}-{h:8}
mapbox-api-token pk.{a0:60}.{a0:22}
mattermost-access-token {a0:26}
messagebird-api-token {a0:25}
messagebird-client-id !{h:8}-{h:4}-{h:4}-{h:4}-{h:12}
netlify-access-token {a0_:44}
new-relic-browser-api-token NRJS-{h:19}
new-relic-insert-key NRII-{a0:32}
new-relic-user-api-id {a0:64}
new-relic-user-api-key NRAK-{A0:27}
nuget-config-password {aA0:16}
nytimes-access-token {a0_:32}
okta-access-token 00{aA0_:40}
plaid-api-token access-production-{h:8}-{h:4}-{h:4}-{h:4}-{h:12}
plaid-client-id !{a0:24}
plaid-secret-key {a0:30}
privateai-api-token {a0:32}
rapidapi-access-token {a0_:50}
sendbird-access-id !{h:8}-{h:4}-{h:4}-{h:4}-{h:12}
sendbird-access-token {h:40}
sentry-access-token {h:64}
sidekiq-secret {h:8}:{h:8}
snyk-api-token {h:8}-{h:4}-{h:4}-{h:4}-{h:12}
sonar-api-token {a0_:40}
squarespace-access-token {h:8}-{h:4}-{h:4}-{h:4}-{h:12}
sumologic-access-id !su{aA0:12}
sumologic-access-token {a0:64}
telegram-bot-api-token {0:9}:A{aA0_:34}
travisci-access-token {a0:22}
twitch-api-token {a0:30}
twitter-access-secret {a0:45}
twitter-access-token {0:18}-{aA0:30}
twitter-api-key {a0:25}
twitter-api-secret {a0:50}
twitter-bearer-token AAAAAAAAAAAAAAAAAAAAAA{aA0:90}
typeform-api-token tfp_{a0_:59}
yandex-access-token t1.{aA0_:40}.{aA0_:86}
yandex-api-key AQVN{aA0_:36}
yandex-aws-access-token YC{aA0_:38}
zendesk-secret-key {a0:40}
"""
NO_TEXT = {"pkcs12-file", "kubernetes-secret-yaml"}
"""Rules that look at the names of files, or at a whole manifest (which ``test_shapes`` has)."""
_PRODUCT = re.compile(
    r"-(?:api|access|client|secret|user|browser|insert|delivery|identity|private|pub|signing|bearer|global|long|short|config"
    r"|tf)-.*|-(?:api-key|password|secret|key)$"
)


def example(rule: str, form: str, by_name: bool) -> str:
    value = filled(form.lstrip("!").replace("^", " "))
    if rule == "private-key":
        value += "\n" + "\n".join(filled("{aA0+:64}", i) for i in range(3)) + "\n-----END PRIVATE KEY-----"
    product = _PRODUCT.sub("", rule).replace("-", "_").upper()
    return f'{product}_TOKEN = "{value}"' if by_name else f"got {value} here"


RULES = [
    (rule, form.startswith("!"), example(rule, form, table is BY_NAME))
    for table in (BY_FORM, BY_NAME)
    for rule, form in (line.split(" ", 1) for line in table.strip().splitlines())
]


@pytest.mark.attack("secrets in text: leaked shapes")
@pytest.mark.parametrize(("rule", "public", "text"), RULES, ids=[rule for rule, _, _ in RULES])
def test_a_form_that_a_scanner_knows_is_redacted(rule: str, public: bool, text: str) -> None:
    if public:
        pytest.skip("an identifier that its issuer publishes, no secret")
    shown = clean(text)
    assert MARK in shown
    assert not re.search(r"(?=[A-Za-z]{0,11}\d)[A-Za-z0-9]{12}", shown), shown


def test_the_document_says_how_many() -> None:
    secret = [text for _, public, text in RULES if not public]
    caught = sum(MARK in clean(text) for text in secret)
    said = f"{caught} of {len(secret)} forms of secrets"
    shown = " ".join((ROOT / "docs/hostile-input.md").read_text(encoding="utf-8").split())
    assert said in shown, said
    assert f"{len(RULES) - len(secret)} forms of identifiers" in shown
