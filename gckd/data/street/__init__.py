"""The generated benchmark "street": drawn pedestrians in the formats of CUHK-PEDES, ICFG-PEDES and RSTPReid."""

from gckd.data.street.benchmark import Street, make_street
from gckd.data.street.contact_sheet import contact_sheet

__all__ = ["Street", "contact_sheet", "make_street"]
