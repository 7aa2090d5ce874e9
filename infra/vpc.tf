# For targets that are reached through a private network, or that let in one address only. Off unless `vpc` is set.

locals {
  vpc_count = var.vpc == null ? 0 : 1
  network   = var.vpc == null ? null : coalesce(var.vpc.network, one(google_compute_network.landfall[*].name))
}

resource "google_compute_network" "landfall" {
  count = try(var.vpc.network, "") == null ? 1 : 0

  project                 = var.project_id
  name                    = "landfall"
  auto_create_subnetworks = false

  depends_on = [google_project_service.this]
}

resource "google_compute_subnetwork" "connector" {
  count = local.vpc_count

  project       = var.project_id
  region        = var.region
  network       = local.network
  name          = "landfall-connector"
  ip_cidr_range = var.vpc.connector_range
  # Google's own APIs, which builds and reconcile call all the time, need no detour over NAT then.
  private_ip_google_access = true

  depends_on = [google_project_service.this]
}

resource "google_vpc_access_connector" "egress" {
  count = local.vpc_count

  project = var.project_id
  region  = var.region
  name    = "landfall"
  # The smallest there is, and the fewest: requests and answers of some kB.
  machine_type  = "e2-micro"
  min_instances = 2
  max_instances = 3

  subnet {
    name = google_compute_subnetwork.connector[0].name
  }
}

resource "google_compute_address" "egress" {
  count = local.vpc_count

  project      = var.project_id
  region       = var.region
  name         = "landfall-egress"
  description  = "What targets and registries see Landfall's calls come from."
  address_type = "EXTERNAL"

  depends_on = [google_project_service.this]
}

resource "google_compute_router" "egress" {
  count = local.vpc_count

  project = var.project_id
  region  = var.region
  network = local.network
  name    = "landfall"
}

resource "google_compute_router_nat" "egress" {
  count = local.vpc_count

  project                            = var.project_id
  region                             = var.region
  router                             = google_compute_router.egress[0].name
  name                               = "landfall"
  nat_ip_allocate_option             = "MANUAL_ONLY"
  nat_ips                            = [google_compute_address.egress[0].self_link]
  source_subnetwork_ip_ranges_to_nat = "LIST_OF_SUBNETWORKS"

  subnetwork {
    name                    = google_compute_subnetwork.connector[0].id
    source_ip_ranges_to_nat = ["ALL_IP_RANGES"]
  }
}
