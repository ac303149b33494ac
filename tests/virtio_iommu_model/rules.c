/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model: a list for each domain, and each request and translation by them as the device answers it.
 */
#include "virtio_iommu_model.h"

#include <errno.h>

/* --------------------------------------------------------------------------------- reserved -- */

static bool
meet(uint64_t start, uint64_t last, uint64_t other, uint64_t other_last)
{
    return start <= other_last && other <= last;
}

/* Whether an endpoint of a domain has reserved a part of a range. */
static bool
any_reserved(uint32_t domain, uint64_t start, uint64_t last)
{
    for (unsigned e = 0; e < ENDPOINTS; e++)
        for (size_t i = 0; endpoints[e].domain == domain && i < endpoints[e].count; i++)
            if (meet(endpoints[e].reserved[i].start, endpoints[e].reserved[i].last, start, last))
                return true;
    return false;
}

/* ------------------------------------------------------------------------------- the model -- */

static unsigned
population(uint32_t domain)
{
    unsigned count = 0;

    for (unsigned e = 0; e < ENDPOINTS; e++)
        count += endpoints[e].exists && endpoints[e].domain == domain;
    return count;
}

void
model_leave(uint32_t endpoint)
{
    uint32_t domain = endpoints[endpoint].domain;

    endpoints[endpoint].domain = NUMBERS;
    if (domain != NUMBERS && population(domain) == 0)
        domains[domain].exists = false;
}

int
expect_attach(const struct request *r)
{
    struct model_domain *domain = &domains[r->domain % NUMBERS];
    struct model_endpoint *endpoint = &endpoints[r->endpoint % ENDPOINTS];
    unsigned count = 0;

    if (r->flags > 1 || r->reserved)
        return INVAL;
    if (r->endpoint >= ENDPOINTS || !endpoint->exists)
        return NOENT;
    if (r->domain < 1 || r->domain >= NUMBERS - 1)
        return RANGE;
    if (domain->exists && domain->bypass != (r->flags == 1))
        return INVAL;
    if (domain->exists && endpoint->domain == r->domain)
        return OK;
    for (unsigned d = 0; d < NUMBERS; d++)
        count += domains[d].exists;
    if (endpoint->domain != NUMBERS && population(endpoint->domain) == 1)
        count--;
    if (!domain->exists && count >= DOMAINS)
        return NOMEM;
    for (size_t i = 0; i < endpoint->count && domain->exists && !domain->bypass; i++)
        if (flat_any(&domain->list, endpoint->reserved[i].start, endpoint->reserved[i].last))
            return UNSUPP;
    if (refuse_attach != 0) {
        model_leave(r->endpoint);
        return UNSUPP;
    }
    return -1; /* to be carried out */
}

void
model_enter(const struct request *r)
{
    struct model_domain *domain = &domains[r->domain];

    if (!domain->exists) {
        domain->exists = true;
        domain->list.count = 0;
    }
    model_leave(r->endpoint);
    endpoints[r->endpoint].domain = r->domain;
}

int
expect_detach(const struct request *r)
{
    if (r->endpoint >= ENDPOINTS || !endpoints[r->endpoint].exists)
        return NOENT;
    if (r->domain >= NUMBERS || endpoints[r->endpoint].domain != r->domain)
        return INVAL;
    return OK;
}

static bool
on_page(uint64_t address)
{
    return address % world->page == 0;
}

int
expect_map(const struct request *r)
{
    const struct model_domain *domain = &domains[r->domain % NUMBERS];

    if (r->flags > 7)
        return INVAL;
    if (r->domain >= NUMBERS || !domain->exists)
        return NOENT;
    if (domain->bypass || r->flags % 4 == 0 || r->last < r->start)
        return INVAL;
    if (!on_page(r->start) || !on_page(r->phys) || !on_page(r->last + 1))
        return RANGE;
    if (r->phys + (r->last - r->start) < r->phys)
        return RANGE;
    if (r->start < world->input_start || r->last > world->input_end ||
        any_reserved(r->domain, r->start, r->last))
        return RANGE;
    if (flat_any(&domain->list, r->start, r->last))
        return INVAL;
    if (domain->list.count == LIMIT)
        return NOMEM;
    return refuse_change != 0 ? FAULT : OK;
}

int
expect_unmap(const struct request *r)
{
    const struct model_domain *domain = &domains[r->domain % NUMBERS];
    bool any = false;

    if (r->reserved)
        return INVAL;
    if (r->domain >= NUMBERS || !domain->exists)
        return NOENT;
    if (domain->bypass || r->last < r->start)
        return INVAL;
    for (size_t i = 0; i < domain->list.count; i++) {
        const struct tide_mapping *mapping = &domain->list.at[i];

        if (!meet(mapping->start, mapping->last, r->start, r->last))
            continue;
        any = true;
        if (mapping->start < r->start || mapping->last > r->last)
            return RANGE;
    }
    return any && refuse_change != 0 ? FAULT : OK;
}

int
expect_translation(uint32_t id, uint64_t address, uint32_t access, uint64_t *target,
                   uint32_t *flags)
{
    const struct model_endpoint *endpoint = &endpoints[id];
    const struct flat_list *list;

    if (!endpoint->exists)
        return -ENODEV;
    if (endpoint->domain == NUMBERS && !unattached_bypass)
        return -ENXIO;
    *target = address;
    *flags = 7;
    for (size_t i = 0; i < endpoint->count; i++)
        if (meet(endpoint->reserved[i].start, endpoint->reserved[i].last, address, address)) {
            *flags = TIDE_WRITE;
            if (endpoint->reserved[i].subtype == 0)
                return -ENOENT;
            return (access & ~*flags) != 0 ? -EACCES : 0;
        }
    if (endpoint->domain == NUMBERS || domains[endpoint->domain].bypass)
        return 0;
    list = &domains[endpoint->domain].list;
    for (size_t i = 0; i < list->count; i++)
        if (meet(list->at[i].start, list->at[i].last, address, address)) {
            *target = list->at[i].target + (address - list->at[i].start);
            *flags = list->at[i].flags;
            return (access & ~*flags) != 0 ? -EACCES : 0;
        }
    return -ENOENT;
}
