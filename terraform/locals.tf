locals {
  tags = merge({ Name = var.name }, var.tags)

  # The name of a peer becomes part of a rule's description, where AWS allows few characters.
  peer_name = "^[a-z0-9][a-z0-9._-]{0,62}$"

  security_group_id = "^sg-([0-9a-f]{8}|[0-9a-f]{17})$"

  # Whom a rule may name: a security group, or a network of private addresses no wider than a VPC. The daemon listens on
  # private addresses, and its units let only such networks through: a rule for others would open what never answers.
  near_peer = join("|", [
    local.security_group_id,
    # RFC 1918 and RFC 6598 (100.64.0.0/10), /16 to /32.
    "^(10|100\\.(6[4-9]|[789][0-9]|1[01][0-9]|12[0-7])|172\\.(1[6-9]|2[0-9]|3[01])|192\\.168)\\..*/(1[6-9]|2[0-9]|3[0-2])$",
    # Unique local, RFC 4193, /48 to /128.
    "^f[cd][0-9a-f]{2}:.*/(4[89]|[5-9][0-9]|1[01][0-9]|12[0-8])$",
  ])
}
