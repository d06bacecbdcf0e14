<xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
  <xsl:output method="html" encoding="UTF-8"/>
  <xsl:template match="/words">
    <p><xsl:for-each select="w"><xsl:value-of select="."/>, </xsl:for-each></p>
  </xsl:template>
</xsl:stylesheet>
