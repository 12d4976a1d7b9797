"""A stand-in for AWS and its Terraform provider, which build machines cannot reach.

It runs a mock of EC2, and a provider that applies the module to that mock. Terraform attaches to the running provider
(TF_REATTACH_PROVIDERS), so that no command starts another one. The program exits at the end of its standard input.

Names and types of arguments come from bindings generated from hashicorp/aws 6.25.0, so a misspelt argument is refused as by
the real provider. The behaviour is implemented below, as far as the module needs it.
Not implemented: nested blocks, changes in place, imports.
"""

import os
import re
import signal
import sys
import threading
import uuid
from pathlib import Path

import boto3
from botocore.exceptions import ClientError
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.server import ThreadedMotoServer
from tf import types
from tf.iface import Provider, Resource
from tf.runner import run_provider
from tf.schema import Attribute, Schema

BINDINGS = Path(os.environ["AWS_BINDINGS"])

ARGUMENT = re.compile(r"^    readonly (\w+)(\??): (string|number|boolean|string\[\]|\{)(?=;| \||$)", re.MULTILINE)
GETTER = re.compile(r"^    get (\w+)\(\): (string|cdktf\.StringMap);", re.MULTILINE)
TYPES = {
    "string": types.String(),
    "number": types.Number(),
    "boolean": types.Bool(),
    "string[]": types.List(types.String()),
    "{": types.Map(types.String()),
    "cdktf.StringMap": types.Map(types.String()),
}


# moto stores the description of a rule for a security group, but does not return it.
SecurityGroupRule.description = property(lambda rule: {**rule.source_group, **rule.ip_range}.get("Description"))


def bindings(module):
    return (BINDINGS / module / "index.d.ts").read_text()


def snake(name):
    return re.sub("([A-Z])", r"_\1", name).lower()


def arguments(source, interface, defaulted=(), replacing=()):
    """Yields the arguments of a resource. AWS sets the `defaulted` ones; a change of a `replacing` one replaces the resource."""
    body = source[source.index(f"export interface {interface} ") :]
    for name, optional, kind in ARGUMENT.findall(body[: body.index("\n}")]):
        name = snake(name)
        yield Attribute(
            name,
            TYPES[kind],
            required=not optional,
            optional=bool(optional),
            computed=name in defaulted,
            requires_replace=name in replacing,
        )


def results(source, known):
    """Yields the read-only attributes of a resource."""
    for name, kind in GETTER.findall(source):
        if snake(name) not in known and f"get {name}Input()" not in source:
            yield Attribute(snake(name), TYPES[kind], computed=True)


class Ec2Resource(Resource):
    """Base class of the resources. Each subclass defines its schema and its calls to EC2."""

    module: str
    interface: str
    defaulted: tuple
    replacing: tuple

    def __init__(self, provider):
        self.ec2 = provider.ec2
        self.region = provider.region

    @classmethod
    def get_name(cls):
        return re.search(r'tfResourceType = "aws_(\w+)"', bindings(cls.module))[1]

    @classmethod
    def get_schema(cls):
        source = bindings(cls.module)
        given = list(arguments(source, cls.interface, cls.defaulted, cls.replacing))
        return Schema(version=1, attributes=given + list(results(source, {a.name for a in given})))

    def update(self, ctx, current, planned):
        ctx.diagnostics.add_error("The stand-in changes nothing in place", f"{ctx.type_name} {current['id']}")
        return current

    def create(self, ctx, planned):
        return self.read(ctx, {**planned, "id": self.make(planned)})

    def read(self, ctx, current):
        try:
            return {**current, **self.describe(current["id"]), "region": self.region}
        except ClientError as error:
            if error.response["Error"]["Code"].endswith("NotFound"):
                return None
            raise


class SecurityGroup(Ec2Resource):
    module = "security-group"
    interface = "SecurityGroupConfig"
    defaulted = ("id", "name", "name_prefix", "region", "tags_all", "vpc_id")
    replacing = ("description", "name", "name_prefix", "region", "vpc_id")

    def make(self, planned):
        group = self.ec2.create_security_group(
            GroupName=planned["name_prefix"] + uuid.uuid4().hex[:26],
            Description=planned["description"],
            VpcId=planned["vpc_id"],
            TagSpecifications=tagged("security-group", planned),
        )["GroupId"]
        # Like the real provider: removes the default egress rule of a new group, which allows everything.
        default = self.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]["IpPermissionsEgress"]
        self.ec2.revoke_security_group_egress(GroupId=group, IpPermissions=default)
        return group

    def describe(self, group):
        found = self.ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"][0]
        return {
            "name": found["GroupName"],
            "name_prefix": found["GroupName"][:-26],
            "description": found["Description"],
            "vpc_id": found["VpcId"],
            "owner_id": found["OwnerId"],
            "arn": f"arn:aws:ec2:{self.region}:{found['OwnerId']}:security-group/{group}",
            **tags(found),
        }

    def delete(self, ctx, current):
        self.ec2.delete_security_group(GroupId=current["id"])


class Rule(Ec2Resource):
    defaulted = ("region",)
    replacing = ("region", "security_group_id")
    peers = ("cidr_ipv4", "cidr_ipv6", "prefix_list_id", "referenced_security_group_id")

    def validate(self, diags, type_name, config):
        super().validate(diags, type_name, config)
        given = [config[peer] for peer in self.peers if config[peer] is not None]
        if types.Unknown not in given and len(given) != 1:
            diags.add_error("Invalid Attribute Combination", f"Exactly one of {', '.join(self.peers)} must be given.")

    def make(self, planned):
        near = {"Description": planned["description"]} if planned["description"] else {}
        permission = {
            "IpProtocol": planned["ip_protocol"],
            "FromPort": int(planned["from_port"]),
            "ToPort": int(planned["to_port"]),
        }
        if planned["cidr_ipv4"]:
            permission["IpRanges"] = [{**near, "CidrIp": planned["cidr_ipv4"]}]
        if planned["cidr_ipv6"]:
            permission["Ipv6Ranges"] = [{**near, "CidrIpv6": planned["cidr_ipv6"]}]
        if planned["prefix_list_id"]:
            permission["PrefixListIds"] = [{**near, "PrefixListId": planned["prefix_list_id"]}]
        if planned["referenced_security_group_id"]:
            permission["UserIdGroupPairs"] = [{**near, "GroupId": planned["referenced_security_group_id"]}]
        return self.authorize(
            GroupId=planned["security_group_id"],
            IpPermissions=[permission],
            TagSpecifications=tagged("security-group-rule", planned),
        )["SecurityGroupRules"][0]["SecurityGroupRuleId"]

    def describe(self, rule):
        found = self.ec2.describe_security_group_rules(SecurityGroupRuleIds=[rule])["SecurityGroupRules"][0]
        return {
            "security_group_rule_id": rule,
            "security_group_id": found["GroupId"],
            "description": found.get("Description"),
            "ip_protocol": found["IpProtocol"],
            "from_port": found["FromPort"],
            "to_port": found["ToPort"],
            "cidr_ipv4": found.get("CidrIpv4"),
            "cidr_ipv6": found.get("CidrIpv6"),
            "prefix_list_id": found.get("PrefixListId"),
            "referenced_security_group_id": found.get("ReferencedGroupInfo", {}).get("GroupId"),
            "arn": f"arn:aws:ec2:{self.region}:mock:security-group-rule/{rule}",
            **tags(found),
        }

    def delete(self, ctx, current):
        self.revoke(GroupId=current["security_group_id"], SecurityGroupRuleIds=[current["id"]])


class IngressRule(Rule):
    module = "vpc-security-group-ingress-rule"
    interface = "VpcSecurityGroupIngressRuleConfig"

    def authorize(self, **rule):
        return self.ec2.authorize_security_group_ingress(**rule)

    def revoke(self, **rule):
        self.ec2.revoke_security_group_ingress(**rule)


class EgressRule(Rule):
    module = "vpc-security-group-egress-rule"
    interface = "VpcSecurityGroupEgressRuleConfig"

    def authorize(self, **rule):
        return self.ec2.authorize_security_group_egress(**rule)

    def revoke(self, **rule):
        self.ec2.revoke_security_group_egress(**rule)


def tagged(kind, planned):
    pairs = [{"Key": key, "Value": value} for key, value in (planned["tags"] or {}).items()]
    return [{"ResourceType": kind, "Tags": pairs}] if pairs else []


def tags(found):
    pairs = {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}
    return {"tags": pairs or None, "tags_all": pairs}


class Aws(Provider):
    def __init__(self, endpoint):
        self.endpoint = endpoint
        self.region = None
        self.ec2 = None

    def get_model_prefix(self):
        return "aws_"

    def full_name(self):
        return "hashicorp/aws"

    def get_provider_schema(self, diags):
        return Schema(attributes=list(arguments(bindings("provider"), "AwsProviderConfig")))

    def validate_config(self, diags, config):
        pass

    def configure_provider(self, diags, config):
        self.region = config["region"]
        self.ec2 = boto3.client("ec2", region_name=self.region, endpoint_url=self.endpoint)

    def get_data_sources(self):
        return []

    def get_resources(self):
        return [SecurityGroup, IngressRule, EgressRule]


def end_with_standard_input():
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    threading.Thread(target=end_with_standard_input, daemon=True).start()
    mock = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    mock.start()
    endpoint = "http://{}:{}".format(*mock.get_host_and_port())
    print(f"AWS_ENDPOINT_URL_EC2='{endpoint}'", flush=True)
    # Prints TF_REATTACH_PROVIDERS in the same format, and serves.
    run_provider(Aws(endpoint), [sys.argv[0], "--dev"])


main()
