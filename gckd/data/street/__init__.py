"""The generated benchmark "street": drawn pedestrians in the formats of CUHK-PEDES, ICFG-PEDES and RSTPReid."""

from gckd.data.street.sheet import contact_sheet
from gckd.data.street.write import StreetInfo, make_street

__all__ = ["StreetInfo", "contact_sheet", "make_street"]
