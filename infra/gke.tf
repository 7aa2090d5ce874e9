# What builds and reconcile need to reach GKE clusters as themselves. What they may do there is for the cluster to say:
# kubernetes/.

locals {
  gke_accounts = {
    for pair in setproduct(var.gke.projects, ["builds", "reconcile"]) :
    join("/", pair) => { project = pair[0], function = pair[1] }
  }
  gke_gateways = {
    for pair in setproduct(var.gke.fleets, ["builds", "reconcile"]) :
    join("/", pair) => { project = pair[0], function = pair[1] }
  }
}

# No predefined role has both rights and no other: those with `connect` read or change what runs in all clusters.
resource "google_project_iam_custom_role" "gke" {
  for_each = var.gke.projects

  project     = each.key
  role_id     = "landfallGke"
  title       = "Landfall: reach GKE clusters"
  description = "To ask for clusters' addresses, and to be let in by their DNS endpoints."
  permissions = ["container.clusters.connect", "container.clusters.get"]
}

resource "google_project_iam_member" "gke" {
  for_each = local.gke_accounts

  project = each.value.project
  role    = google_project_iam_custom_role.gke[each.value.project].name
  member  = google_service_account.function[each.value.function].member
}

# The gateway asks for a right of its own by the kind of call: to patch takes the editor's.
resource "google_project_iam_member" "gke_gateway" {
  for_each = local.gke_gateways

  project = each.value.project
  role    = "roles/gkehub.gatewayEditor"
  member  = google_service_account.function[each.value.function].member
}
