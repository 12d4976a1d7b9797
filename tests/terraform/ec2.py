"""Prints the contents of the EC2 mock, and changes it without Terraform."""

import sys

import boto3

EC2 = boto3.client("ec2")


def vpc():
    """Creates a VPC and prints its id."""
    print(EC2.create_vpc(CidrBlock="10.0.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]["VpcId"])


def group(vpc_id):
    """Creates a security group without Terraform."""
    EC2.create_security_group(GroupName="by-hand", Description="made by hand", VpcId=vpc_id)


def ungroup(vpc_id):
    """Removes every group of a VPC except the default one."""
    for found in groups(vpc_id):
        EC2.delete_security_group(GroupId=found["GroupId"])


def revoke(vpc_id, description):
    """Revokes the rule with this description."""
    ids = {found["GroupId"] for found in groups(vpc_id)}
    [rule] = [rule for rule in rules() if rule["GroupId"] in ids and rule.get("Description") == description]
    direction = "egress" if rule["IsEgress"] else "ingress"
    call = getattr(EC2, f"revoke_security_group_{direction}")
    call(GroupId=rule["GroupId"], SecurityGroupRuleIds=[rule["SecurityGroupRuleId"]])


def show(vpc_id):
    """Prints every group of a VPC except the default one, and every rule, one per line."""
    names = {found["GroupId"]: name(found) for found in groups(vpc_id)}
    lines = [f"{found}: group" for found in names.values()]
    lines += [f"{names[rule['GroupId']]}: {words(rule, names)}" for rule in rules() if rule["GroupId"] in names]
    print("".join(f"{line}\n" for line in sorted(lines)), end="")


def groups(vpc_id):
    found = EC2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc_id]}])["SecurityGroups"]
    return [group for group in found if group["GroupName"] != "default"]


def name(group):
    """The name of a group without its unique suffix of 26 characters."""
    return group["GroupName"][:-27] if len(group["GroupName"]) > 27 else group["GroupName"]


def rules():
    return EC2.describe_security_group_rules()["SecurityGroupRules"]


def words(rule, names):
    direction, to = ("out", "to") if rule["IsEgress"] else ("in", "from")
    ports = f"{rule['FromPort']}-{rule['ToPort']}" if rule["FromPort"] != rule["ToPort"] else rule["FromPort"]
    referenced = rule.get("ReferencedGroupInfo", {}).get("GroupId")
    peer = rule.get("CidrIpv4") or rule.get("CidrIpv6") or names.get(referenced, referenced)
    return f"{direction} {rule['IpProtocol']} {ports} {to} {peer} ({rule.get('Description')})"


COMMANDS = {"vpc": vpc, "group": group, "ungroup": ungroup, "revoke": revoke, "show": show}
COMMANDS[sys.argv[1]](*sys.argv[2:])
